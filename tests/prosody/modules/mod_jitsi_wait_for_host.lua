-- Imitates: jitsi-protocol.md §2.5, §5.9 and §12.26 (mod_muc_wait_for_host). Needs mod_jitsi_lobby.
--
-- Until a host has come, a room has a lobby whose 407 says `<waiting-for-host/>`, and no display name is asked for. A
-- host is an account of `jitsi_host_domain` that is no administrator of the server, or somebody with a token; its
-- coming opens the room and destroys the lobby in favour of the room.

local is_admin = require "core.usermanager".is_admin;
local jid = require "util.jid";

local domain = module:get_option_string("jitsi_host_domain");

module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	if room._has_host or is_admin(occupant.bare_jid, module.host) then return; end
	if session.auth_token or session.username and jid.host(occupant.bare_jid) == domain then
		room._has_host = true;
		if not room._data.lobby_extra_reason then return; end
		module:fire_event("jitsi-close-lobby", { room = room; reason = "Host arrived." });
		occupant.role = room:get_default_role(room:get_affiliation(occupant.bare_jid)) or "participant";
	elseif not room:get_members_only() then
		module:fire_event("jitsi-open-lobby", { room = room; reason = "waiting-for-host" });
	end
end);
