-- Imitates: jitsi-protocol.md §2.5, priority 8 (mod_muc_meeting_id, jicofo_lock).
--
-- Between the creation of a room and the focus's entry, joins are queued without a word (at most 500). The lock is
-- lifted once in the life of a room: when the focus leaves later, joins still pass (§5.7).

local jid = require "util.jid";

local focus = module:get_option_string("jitsi_focus_jid", "focus@auth.meet.jitsi");
local most = 500;

module:hook("muc-room-pre-create", function (event)
	event.room._focus_queue = {};
end, -2);

module:hook("muc-occupant-pre-join", function (event)
	local room, queue = event.room, event.room._focus_queue;
	if not queue or jid.bare(event.stanza.attr.from) == focus then return; end
	if #queue < most then
		queue[#queue + 1] = { origin = event.origin, stanza = event.stanza };
	end
	module:log("debug", "queued %s until the focus is in %s", event.stanza.attr.from, room.jid);
	return true;
end, 8);

module:hook("muc-occupant-joined", function (event)
	local room, queue = event.room, event.room._focus_queue;
	if not queue or jid.bare(event.occupant.bare_jid) ~= focus then return; end
	room._focus_queue = nil;
	module:add_timer(0, function ()
		for _, waiting in ipairs(queue) do
			room:handle_normal_presence(waiting.origin, waiting.stanza);
		end
	end);
end);
