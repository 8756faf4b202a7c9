-- Imitates: jitsi-protocol.md §2.3, rules 1 to 4 (mod_token_verification, domain verification off).
--
-- May a session enter this room? Administrators and sessions of other hosts' allow-list may; nobody else before there
-- is a room; a session without a room claim may (a guest has none); else the claim must be `*`, the room's local part,
-- or what follows the `]` of a tenant's room.
--
-- jitsi_token_allow_domains = { "auth.meet.jitsi" }

local is_admin = require "core.usermanager".is_admin;
local jid = require "util.jid";
local st = require "util.stanza";

local allowed = module:get_option_set("jitsi_token_allow_domains", {});
local get_room = module:depends "muc".get_room_from_jid;

local TEXTS = {
	["room-does-not-exist"] = "Room does not exist";
	["room-mismatch"] = "Room does not match the room from token";
};

local function reason_against(event)
	local from = event.stanza.attr.from;
	if is_admin(jid.bare(from), module.host) or allowed:contains((jid.host(from))) then return; end
	if not get_room(event.room.jid) then return "room-does-not-exist"; end
	local claim = event.origin.jitsi_meet_room;
	if not claim or claim == "*" then return; end
	claim = claim:lower();
	local room = jid.node(event.room.jid);
	if room == claim or room:sub(-#claim - 1) == "]" .. claim then return; end
	return "room-mismatch";
end

local function judge(event)
	local reason = reason_against(event);
	if not reason then return; end
	local reply = st.error_reply(event.stanza, "cancel", "not-allowed", TEXTS[reason], module.host);
	event.origin.send(reply:tag(reason, { xmlns = "http://jitsi.org/jitmeet" }):up());
	return true;
end

module:hook("muc-room-pre-create", judge, 99);
module:hook("muc-occupant-pre-join", judge, 99);
