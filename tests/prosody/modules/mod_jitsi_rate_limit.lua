-- Imitates: jitsi-protocol.md §2.6 (mod_rate_limit). Counted per session, as the tests all come from one address.
--
-- More than 4 presences, 15 IQs or 3 messages a second, with two seconds' burst, and the session is read at 200 bytes a
-- second for `jitsi_rate_limit_seconds` (60); nothing is said.

local filters = require "util.filters";
local throttle = require "util.throttle".create;
local timer = require "util.timer";

local rates = { presence = 4; iq = 15; message = 3 };
local seconds = module:get_option_number("jitsi_rate_limit_seconds", 60);

local function slow_down(session)
	if session.jitsi_throttled or not session.conn or not session.conn.setlimit then return; end
	session.jitsi_throttled = true;
	session.log("warn", "rate limit exceeded, read at 200 B/s for %d s", seconds);
	session.conn:setlimit(200);
	timer.add_task(seconds, function ()
		session.jitsi_throttled = nil;
		if session.conn then session.conn:setlimit(0); end
	end);
end

local function count(stanza, session)
	local rate = rates[stanza.name];
	if not rate or session.host ~= module.host then return stanza; end
	session.jitsi_rates = session.jitsi_rates or {};
	local meter = session.jitsi_rates[stanza.name];
	if not meter then
		meter = throttle(rate * 2, 2);
		session.jitsi_rates[stanza.name] = meter;
	end
	if not meter:poll(1) then slow_down(session); end
	return stanza;
end

local function filter(session)
	if session.type == "c2s_unauthed" then filters.add_filter(session, "stanzas/in", count, 20); end
end

filters.add_filter_hook(filter);
function module.unload() filters.remove_filter_hook(filter); end
