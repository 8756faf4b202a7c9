-- Imitates: jitsi-protocol.md §2.2 and §10 (mod_auth_token).
--
-- ANONYMOUS, with a JSON web token that came in the URL. It is verified at each login and at no other time: a running
-- session outlives its token, and a resumption needs a good one. The user name is random, or kept by `previd`.
--
-- jitsi_token_algorithm = "HS256"      jitsi_token_secret = "..."       jitsi_token_modulus = "hexadecimal, of RS256"
-- jitsi_token_issuers = { "app" }      jitsi_token_audiences = { "*" }  jitsi_token_allow_empty = false

local names = module:require "jitsi_random_names";
local verify = module:require "jitsi_jwt".verify;

local options = {
	algorithm = module:get_option_string("jitsi_token_algorithm", "HS256");
	secret = module:get_option_string("jitsi_token_secret", "");
	modulus = module:get_option_string("jitsi_token_modulus", "");
	issuers = module:get_option_array("jitsi_token_issuers", {});
	audiences = module:get_option_array("jitsi_token_audiences", { "*" });
};
local allow_empty = module:get_option_boolean("jitsi_token_allow_empty", false);

module:provides("auth", names.provider(function (session)
	return names.handler(function ()
		local token = session.auth_token;
		if token then
			local claims, condition, text = verify(options, token, os.time());
			if not claims then return nil, condition, text; end
			session.jitsi_meet_room = claims.room;
			session.jitsi_meet_context_user = claims.context and claims.context.user;
			session.jitsi_meet_context_features = claims.context and claims.context.features;
		elseif not allow_empty then
			return nil, "not-allowed", "token required";
		end
		return names.name_for(module.host, session);
	end);
end));
