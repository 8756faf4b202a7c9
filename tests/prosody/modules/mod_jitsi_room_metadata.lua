-- Imitates: jitsi-protocol.md §6.10 (mod_room_metadata_component); a component.
--
-- A moderator's `<room_metadata/>` sets a key of the room that it names; the connection's URL must name some room, else
-- `service-unavailable`. Refused without a word: no moderator, no data, a key of the server's. Every change goes to
-- all, and who joins gets everything, with the TURN service and its password: before their own presence, and not again
-- before they have left.

local jid = require "util.jid";
local json = require "util.json";

local url = module:require "jitsi_url_room";

local JITSI = "http://jitsi.org/jitmeet";
local OWN_KEYS = {};
for key in ([[allownersEnabled asyncTranscription conferencePresetsServiceEnabled dialinEnabled moderators participants
	participantsSoftLimit services transcriberType transcription visitorsEnabled]]):gmatch("%S+") do
	OWN_KEYS[key] = true;
end
local services = {
	{
		type = "turn"; host = "turn.meet.jitsi"; port = "3478"; transport = "udp";
		username = "1799999999"; password = module:get_option_string("jitsi_turn_password", "turn-secret"); restricted = "1";
	};
};

local function push(room, to, with_services)
	local metadata = { services = with_services and services or nil };
	for key, value in pairs(room._jitsi_metadata or {}) do metadata[key] = value; end
	url.tell(to, json.encode({ type = "room_metadata"; metadata = metadata }), { room = room.jid });
end

local function push_all(event)
	url.each_session(event.room, function (real) push(event.room, real, false); end);
end

module:hook("message/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then return true; end
	local said = stanza:get_child("room_metadata", JITSI);
	if (origin.jitsi_web_query_room or "") == "" or not said then return; end
	local room = url.get_room(said.attr.room or "");
	if not url.moderator(room, stanza.attr.from) then return true; end
	local set = json.decode(said:get_text());
	if type(set) ~= "table" or type(set.key) ~= "string" or set.data == nil then return true; end
	if OWN_KEYS[set.key] or set.key:find("^audioTranslation") then return true; end
	room._jitsi_metadata = room._jitsi_metadata or {};
	room._jitsi_metadata[set.key] = set.data;
	push_all({ room = room });
	return true;
end);

url.on_muc("jitsi-metadata-changed", push_all);
url.on_muc("muc-occupant-pre-join", function (event)
	local room, real = event.room, event.stanza.attr.from;
	room._jitsi_metadata_told = room._jitsi_metadata_told or {};
	if room._jitsi_metadata_told[jid.bare(real)] then return; end
	room._jitsi_metadata_told[jid.bare(real)] = true;
	push(room, real, true);
end, -100); -- behind whatever may refuse the join
url.on_muc("muc-occupant-left", function (event)
	local told = event.room._jitsi_metadata_told;
	if told then told[event.occupant.bare_jid] = nil; end
end);
