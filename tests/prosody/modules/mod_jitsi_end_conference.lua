-- Imitates: jitsi-protocol.md §6.9, §2.4 and §13.6 (mod_end_conference); a component.
--
-- `<end_conference/>`, without a namespace of its own, from a moderator of the room in the connection's URL destroys
-- that room, whatever room was meant. Without a room in the URL, or without that child: `service-unavailable`. From
-- nobody's moderator: silence.

local url = module:require "jitsi_url_room";

local function on_message(event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then return true; end
	if not origin.jitsi_web_query_room or not stanza:get_child("end_conference") then return; end
	local room = url.url_room(origin);
	if url.moderator(room, stanza.attr.from) then
		room:destroy(nil, "The meeting has been terminated");
	end
	return true;
end

module:hook("message/host", on_message);
