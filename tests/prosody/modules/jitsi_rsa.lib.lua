-- RSASSA-PKCS1-v1_5 with SHA-256 and the public exponent 65537 (RFC 8017 §8.2.2), verification only.
--
-- Numbers are lists of 24-bit limbs, the lowest first. Slow, and fast enough for a login: 17 multiplications.

local sha256 = require "util.hashes".sha256;

local BITS = 24;
local MASK = (1 << BITS) - 1;

local function from_bytes(bytes)
	local limbs = {};
	for last = #bytes, 1, -3 do
		local high, middle, low = 0, 0, bytes:byte(last);
		if last > 1 then middle = bytes:byte(last - 1); end
		if last > 2 then high = bytes:byte(last - 2); end
		limbs[#limbs + 1] = high << 16 | middle << 8 | low;
	end
	return limbs;
end

local function to_bytes(limbs, length)
	local bytes = {};
	for at = #limbs, 1, -1 do
		bytes[#bytes + 1] = string.char(limbs[at] >> 16 & 255, limbs[at] >> 8 & 255, limbs[at] & 255);
	end
	local text = table.concat(bytes);
	return (("\0"):rep(length) .. text):sub(-length);
end

-- Whether the `#small` limbs of `big` above `shift` are at least `small`; a limb above them counts, too.
local function at_least(big, small, shift)
	if (big[shift + #small + 1] or 0) > 0 then return true; end
	for at = #small, 1, -1 do
		local one, other = big[shift + at] or 0, small[at];
		if one ~= other then return one > other; end
	end
	return true;
end

local function subtract(big, small, shift, times)
	local borrow = 0;
	for at = 1, #small + 1 do
		local limb = (big[shift + at] or 0) - times * (small[at] or 0) + borrow;
		big[shift + at] = limb & MASK;
		borrow = limb // (MASK + 1);
	end
end

-- `big` modulo `modulus`, whose highest limb is not zero.
local function modulo(big, modulus)
	local high = modulus[#modulus];
	for shift = #big - #modulus, 0, -1 do
		while at_least(big, modulus, shift) do
			-- never too great, as the divisor is rounded up; at least one, as the comparison says
			local above = (big[shift + #modulus + 1] or 0) << BITS | (big[shift + #modulus] or 0);
			local times = above // (high + 1);
			subtract(big, modulus, shift, times > 0 and times or 1);
		end
	end
	for at = #big, #modulus + 1, -1 do big[at] = nil; end
	return big;
end

local function multiply(one, other, modulus)
	local product = {};
	for at = 1, #one + #other do product[at] = 0; end
	for left = 1, #one do
		local carry = 0;
		for right = 1, #other do
			local sum = product[left + right - 1] + one[left] * other[right] + carry;
			product[left + right - 1] = sum & MASK;
			carry = sum >> BITS;
		end
		product[left + #other] = product[left + #other] + carry;
	end
	return modulo(product, modulus);
end

-- The DER of `DigestInfo` for SHA-256, RFC 8017 §9.2.
local DIGEST_INFO = "\48\49\48\13\6\9\96\134\72\1\101\3\4\2\1\5\0\4\32";

local function verify_sha256(modulus_hex, text, signature)
	local bytes = modulus_hex:gsub("%x%x", function (pair) return string.char(tonumber(pair, 16)); end):gsub("^%z+", "");
	if #signature ~= #bytes then return false; end
	local modulus, base = from_bytes(bytes), from_bytes(signature);
	local power = base;
	for _ = 1, 16 do power = multiply(power, power, modulus); end
	power = multiply(power, base, modulus);
	local digest = DIGEST_INFO .. sha256(text);
	local wanted = "\0\1" .. ("\255"):rep(#bytes - #digest - 3) .. "\0" .. digest;
	return to_bytes(power, #bytes) == wanted;
end

return { verify_sha256 = verify_sha256 };
