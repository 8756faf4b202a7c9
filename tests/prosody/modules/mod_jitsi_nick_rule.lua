-- Imitates: jitsi-protocol.md §2.5, priority 11 (muc_resource_validate), and §13.7.
--
-- A nick is letters, digits and underscores and does not begin with an underscore; it never changes.

local jid_resource = require "util.jid".resource;
local st = require "util.stanza";

local function refuse(event)
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", "Invalid resource", event.room.jid));
	return true;
end

module:hook("muc-occupant-pre-join", function (event)
	local nick = jid_resource(event.occupant.nick);
	if not nick or not nick:match("^[a-zA-Z0-9][a-zA-Z0-9_]*$") then return refuse(event); end
end, 11);

module:hook("muc-occupant-pre-change", function (event)
	if event.orig_occupant.nick ~= event.dest_occupant.nick then return refuse(event); end
end, 11);
