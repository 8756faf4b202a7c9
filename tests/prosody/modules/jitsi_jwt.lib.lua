-- Verifies a JSON web token as jitsi-protocol.md §10 says, in its order and with its texts.
--
-- HS256, HS384 and HS512; Prosody 0.12 brings no library for RSA, so RS256 is computed here (see `jitsi_rsa`).

local base64 = require "util.encodings".base64;
local hashes = require "util.hashes";
local json = require "util.json";

local rsa = module:require "jitsi_rsa";

-- RFC 2104 for a hash that Prosody has without its HMAC.
local function hmac_sha384(key, text)
	local block = 128;
	if #key > block then key = hashes.sha384(key); end
	key = key .. ("\0"):rep(block - #key);
	local function padded(pad)
		return (key:gsub(".", function (byte) return string.char(byte:byte() ~ pad); end));
	end
	return hashes.sha384(padded(0x5c) .. hashes.sha384(padded(0x36) .. text));
end

local signs = { HS256 = hashes.hmac_sha256; HS384 = hmac_sha384; HS512 = hashes.hmac_sha512 };

local function decode(part)
	part = part:gsub("[-_]", { ["-"] = "+"; ["_"] = "/" });
	return base64.decode(part .. ("="):rep(-#part % 4));
end

local function listed(list, value)
	for _, one in ipairs(list) do
		if one == "*" or one == value then return true; end
	end
	return false;
end

local function signed(options, text, signature)
	if options.algorithm == "RS256" then
		return rsa.verify_sha256(options.modulus, text, signature);
	end
	local sign = signs[options.algorithm];
	return sign and hashes.equals(sign(options.secret, text), signature);
end

-- Returns the claims, or nothing, the SASL condition and its text.
-- `options`: algorithm, secret or modulus (of RS256, in hexadecimal), issuers, audiences.
local function verify(options, token, now)
	local function refuse(text) return nil, "not-allowed", text; end
	local head, body, tail = token:match("^([^.]+)%.([^.]+)%.([^.]*)$");
	if not head then return refuse("bad token format"); end
	local header, claims = json.decode(decode(head) or ""), json.decode(decode(body) or "");
	local signature = decode(tail);
	if type(header) ~= "table" then return refuse("Invalid header"); end
	if type(claims) ~= "table" then return refuse("Invalid body"); end
	if header.typ ~= "JWT" then return refuse("Invalid typ"); end
	if not header.alg or header.alg ~= options.algorithm then return refuse("Invalid or incorrect alg"); end
	if not signature or not signed(options, head .. "." .. body, signature) then return refuse("Invalid signature"); end
	if claims.exp and type(claims.exp) ~= "number" then return refuse("exp must be number"); end
	if claims.nbf and type(claims.nbf) ~= "number" then return refuse("nbf must be number"); end
	if claims.exp and now >= claims.exp then
		return refuse(("Not acceptable by exp (%d sec since expired)"):format(now - claims.exp));
	end
	if claims.nbf and now < claims.nbf then return refuse("Not acceptable by nbf"); end
	if not claims.iss then return refuse("'iss' claim is missing"); end
	if not listed(options.issuers, claims.iss) then return refuse("invalid 'iss' claim"); end
	if not claims.aud then return refuse("'aud' claim is missing"); end
	if not listed(options.audiences, claims.aud) then return refuse("invalid 'aud' claim"); end
	if not claims.room then return nil, "not-authorized", "room claim is missing"; end
	if not claims.sub then return nil, "not-authorized", "sub claim is missing"; end
	return claims;
end

return { verify = verify };
