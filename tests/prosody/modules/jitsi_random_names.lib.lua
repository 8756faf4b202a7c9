-- What anonymous and token logins have in common (jitsi-protocol.md §2.2): the user name is random, unless the URL's
-- `previd` is the resumption id of a session that the server still has: then that session's name is kept.

local uuid = require "util.uuid".generate;

local lib = {};

-- The name for a session that logs in on `host`.
function lib.name_for(host, session)
	if session.previd then
		for user, its in pairs(prosody.hosts[host].sessions) do
			for _, known in pairs(its.sessions) do
				if known.resumption_token == session.previd then return user; end
			end
		end
	end
	return session.customusername or uuid();
end

-- A SASL handler with the one mechanism ANONYMOUS; `login` returns the name, or nothing, a condition and a text.
function lib.handler(login)
	local handler = {};
	function handler:mechanisms() return { ANONYMOUS = true }; end
	function handler:select(mechanism)
		self.selected = mechanism == "ANONYMOUS" and mechanism or nil;
		return self.selected ~= nil;
	end
	function handler:clean_clone() return lib.handler(login); end
	function handler:process()
		local name, condition, text = login();
		if not name then return "failure", condition, text; end
		self.username = name;
		return "success";
	end
	return handler;
end

-- The rest of what an authentication provider must have: there are no accounts.
function lib.provider(get_sasl_handler)
	local function none() return nil, "there are no accounts here"; end
	return {
		test_password = none; get_password = none; set_password = none;
		user_exists = none; create_user = none; delete_user = none;
		users = function () return next, {}, nil; end;
		get_sasl_handler = get_sasl_handler;
	};
end

return lib;
