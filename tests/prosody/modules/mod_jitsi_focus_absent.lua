-- Imitates: jitsi-protocol.md §3.2 and §13.5 (mod_client_proxy without a client).
--
-- With no focus connected, a request for it is answered `service-unavailable` at once. Without this module stock
-- Prosody says `remote-server-timeout`, and both mean that the focus is absent. Loaded on the focus's component.

local st = require "util.stanza";

local connected = false;

module:hook("component-authenticated", function (event)
	connected = event.session;
end);

module:hook("iq/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	if connected and connected.type == "component" and connected.conn then return; end
	connected = false;
	if stanza.attr.type == "get" or stanza.attr.type == "set" then
		origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
		return true;
	end
end, 10);
