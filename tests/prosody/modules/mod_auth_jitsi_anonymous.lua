-- Imitates: jitsi-protocol.md §2.2 (mod_auth_jitsi-anonymous).
--
-- Anonymous logins whose user name is kept for the resumption id in the URL (`?previd=`). Stock Prosody 0.12 draws a
-- new name at each login and looks resumption ids up by name, so that an anonymous session can never be resumed
-- there. A token in the URL is dropped.

local names = module:require "jitsi_random_names";

module:provides("auth", names.provider(function (session)
	return names.handler(function ()
		session.auth_token = nil;
		return names.name_for(module.host, session);
	end);
end));
