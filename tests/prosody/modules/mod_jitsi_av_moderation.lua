-- Imitates: jitsi-protocol.md §6.5, §6.6, §2.4 and §13.6 (mod_av_moderation_component); a component.
--
-- `<av_moderation/>`, without a namespace of its own, from a moderator of the room in the connection's URL acts on that
-- room: it turns moderation of audio, video or desktop on and off, approves somebody and withdraws it. Without a room in
-- the URL, or without that child: `service-unavailable`. From nobody's moderator, or for an unknown medium: silence.
-- Whoever comes in hears what is on right behind their own presence; a second session of theirs does not.

local array = require "util.array";
local jid = require "util.jid";
local json = require "util.json";

local url = module:require "jitsi_url_room";

local MEDIA = { audio = true; video = true; desktop = true };
local focus = module:get_option_string("jitsi_focus_jid", "focus@auth.meet.jitsi");

local function tell(to, what)
	what.type = "av_moderation";
	url.tell(to, json.encode(what));
end

local function tell_all(room, what, wanted)
	url.each_session(room, function (real, occupant)
		if not wanted or wanted(occupant) then tell(real, what); end
	end);
end

local function is_moderator(occupant) return occupant.role == "moderator"; end

local function whitelists(room)
	local lists = {};
	for medium, list in pairs(room._av_moderation or {}) do
		local nicks = array();
		for nick in pairs(list) do nicks[#nicks + 1] = nick; end
		lists[medium] = nicks;
	end
	return lists;
end

local function start_muted(room, medium, on)
	local metadata = room._jitsi_metadata or {};
	room._jitsi_metadata = metadata;
	metadata.startMuted = metadata.startMuted or {};
	metadata.startMuted[medium] = on or nil;
	module:context((jid.host(room.jid))):fire_event("jitsi-metadata-changed", { room = room });
end

local function switch(room, actor, medium, on)
	local state = room._av_moderation or {};
	room._av_moderation = state;
	if on == (state[medium] ~= nil) then return; end
	state[medium] = on and {} or nil;
	if on then
		for nick, occupant in room:each_occupant() do
			if is_moderator(occupant) and occupant.bare_jid ~= focus then state[medium][nick] = true; end
		end
	end
	start_muted(room, medium, on);
	tell_all(room, { enabled = on; room = room.jid; actor = actor.nick; mediaType = medium });
	if on then tell_all(room, { room = room.jid; whitelists = whitelists(room); mediaType = medium }, is_moderator); end
end

local function tell_occupant(room, nick, what)
	local occupant = room:get_occupant_by_nick(nick);
	if not occupant then return false; end
	for real in occupant:each_session() do tell(real, what); end
	return true;
end

local function approve(room, actor, medium, nick)
	local list = (room._av_moderation or {})[medium];
	local what = { approved = true; room = room.jid; mediaType = medium };
	if not list then what.from = actor.nick; end -- asked to unmute
	if not tell_occupant(room, nick, what) or not list then return; end
	list[nick] = true;
	tell_all(room, { room = room.jid; whitelists = whitelists(room); mediaType = medium }, is_moderator);
end

local function withdraw(room, medium, nick)
	local list = (room._av_moderation or {})[medium];
	if not list then return; end
	list[nick] = nil;
	tell_occupant(room, nick, { removed = true; room = room.jid; mediaType = medium });
	tell_all(room, { room = room.jid; whitelists = whitelists(room); removed = true; mediaType = medium }, is_moderator);
end

module:hook("message/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then return true; end
	local command = stanza:get_child("av_moderation");
	if not origin.jitsi_web_query_room or not command then return; end
	local room = url.url_room(origin);
	local actor = url.moderator(room, stanza.attr.from);
	local said = command.attr;
	if not actor or not MEDIA[said.mediaType] then return true; end
	if said.enable then switch(room, actor, said.mediaType, said.enable == "true"); end
	if said.jidToWhitelist then approve(room, actor, said.mediaType, said.jidToWhitelist); end
	if said.jidToBlacklist then withdraw(room, said.mediaType, said.jidToBlacklist); end
	return true;
end);

url.on_muc("muc-occupant-joined", function (event)
	local room, real = event.room, event.occupant.jid;
	for medium in pairs(room._av_moderation or {}) do
		tell(real, { enabled = true; room = room.jid; mediaType = medium });
		if is_moderator(event.occupant) then
			tell(real, { room = room.jid; whitelists = whitelists(room); mediaType = medium });
		end
	end
end);
