-- Imitates: jitsi-protocol.md §1.4, room-level disco#info (mod_muc_meeting_id, mod_conference_duration).
--
-- Each life of a room has an id, `muc#roominfo_meetingId`; `muc#roominfo_created_timestamp` (milliseconds) is set when
-- the second occupant beside the focus joins.

local jid = require "util.jid";
local uuid = require "util.uuid".generate;
local now = require "util.time".now;

local focus = module:get_option_string("jitsi_focus_jid", "focus@auth.meet.jitsi");

module:hook("muc-room-pre-create", function (event)
	event.room._jitsi_meeting_id = uuid();
end, -2);

module:hook("muc-occupant-joined", function (event)
	local room, people = event.room, 0;
	for _, occupant in room:each_occupant() do
		if jid.bare(occupant.bare_jid) ~= focus then people = people + 1; end
	end
	if people >= 2 and not room._jitsi_created then room._jitsi_created = math.floor(now() * 1000); end
end);

module:hook("muc-disco#info", function (event)
	local function field(name, value)
		table.insert(event.form, { name = name; type = "text-single"; label = name; value = value });
	end
	field("muc#roominfo_meetingId", event.room._jitsi_meeting_id);
	if event.room._jitsi_created then
		field("muc#roominfo_created_timestamp", tostring(event.room._jitsi_created));
	end
end);
