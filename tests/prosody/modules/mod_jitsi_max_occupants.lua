-- Imitates: jitsi-protocol.md §2.5, priority 10 (mod_muc_max_occupants).
--
-- With `jitsi_max_occupants` inside, not counting the focus and `jitsi_access_whitelist` (bare JIDs or domains), the next one hears
-- `service-unavailable`.

local jid = require "util.jid";
local st = require "util.stanza";

local most = module:get_option_number("jitsi_max_occupants", 1000);
local uncounted = module:get_option_set("jitsi_access_whitelist", { "focus@auth.meet.jitsi" });

local function counts(bare)
	return not (uncounted:contains(bare) or uncounted:contains((jid.host(bare))));
end

module:hook("muc-occupant-pre-join", function (event)
	if not event.is_first_session or not counts(jid.bare(event.stanza.attr.from)) then return; end
	local inside = 0;
	for _, occupant in event.room:each_occupant() do
		if counts(occupant.bare_jid) then inside = inside + 1; end
	end
	if inside >= most then
		event.origin.send(st.error_reply(event.stanza, "cancel", "service-unavailable", nil, module.host));
		return true;
	end
end, 10);
