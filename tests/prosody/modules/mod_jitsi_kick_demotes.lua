-- Imitates: jitsi-protocol.md §5.8 "kicked" and §6.1 (mod_muc_meeting_id, filter_admin_set).
--
-- A kick drops the affiliation to none, so that a kicked moderator is a plain participant when it comes back and
-- has to be granted again. Nobody can kick, ban or demote the focus.

local jid = require "util.jid";
local st = require "util.stanza";

local focus = module:get_option_string("jitsi_focus_jid", "focus@auth.meet.jitsi");

local function status_of(x)
	local codes = {};
	for status in x:childtags("status") do codes[status.attr.code] = true; end
	return codes;
end

module:hook("muc-broadcast-presence", function (event)
	if event.occupant.role ~= nil or not event.actor then return; end
	local codes = status_of(event.x);
	-- 333 is a removal for an error, no moderator's doing
	if codes["307"] and not codes["333"] then event.occupant.was_kicked = true; end
end, -1);

module:hook("muc-occupant-left", function (event)
	if event.occupant.was_kicked then
		event.room:set_affiliation(true, event.occupant.bare_jid, "none");
	end
end);

module:hook("iq-set/bare/http://jabber.org/protocol/muc#admin:query", function (event)
	local origin, stanza = event.origin, event.stanza;
	if jid.bare(stanza.attr.from) == focus then return; end
	for item in stanza.tags[1]:childtags("item") do
		if item.attr.nick == "focus" or (item.attr.jid and jid.bare(item.attr.jid) == focus) then
			origin.send(st.error_reply(stanza, "cancel", "not-allowed"));
			return true;
		end
	end
end, 5);
