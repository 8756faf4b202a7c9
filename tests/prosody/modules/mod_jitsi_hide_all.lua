-- Imitates: jitsi-protocol.md §1.4 (muc_hide_all) and §13.22.
--
-- Rooms are not listed, and only occupants may ask what a room is: others hear `forbidden` where there is a room and
-- `item-not-found` where there is none.

local st = require "util.stanza";

local get_room = module:depends "muc".get_room_from_jid;

module:hook("muc-room-pre-create", function (event)
	event.room:set_hidden(true);
end, -1);

local function only_for_occupants(event)
	local origin, stanza = event.origin, event.stanza;
	local room = get_room(stanza.attr.to);
	if room and not room:get_occupant_by_real_jid(stanza.attr.from) then
		origin.send(st.error_reply(stanza, "auth", "forbidden"));
		return true;
	end
end

module:hook("iq-get/bare/http://jabber.org/protocol/disco#info:query", only_for_occupants, 10);
module:hook("iq-get/bare/http://jabber.org/protocol/disco#items:query", only_for_occupants, 10);
