-- Imitates: jitsi-protocol.md §2.8 (mod_muc_domain_mapper), on the group chat component.
--
-- Clients say `room@muc.TENANT.meet.jitsi`, the server `[TENANT]room@muc.meet.jitsi`. What a client sends is rewritten
-- in `to` and in the room of a conference request, what it gets in `from` and in the room of the answer. The focus speaks
-- the server's form.
--
-- jitsi_tenants_base = "meet.jitsi"      jitsi_tenants_internal = "auth.meet.jitsi"

local filters = require "util.filters";
local jid = require "util.jid";
local st = require "util.stanza";

local base = module:get_option_string("jitsi_tenants_base");
local internal = module:get_option_string("jitsi_tenants_internal");
local prefix = module.host:sub(1, -#base - 2);
local pattern = "^" .. prefix:gsub("%p", "%%%0") .. "%.([^.]+)%." .. base:gsub("%p", "%%%0") .. "$";

local function inward(address)
	local node, host, resource = jid.split(address);
	local tenant = node and host:match(pattern);
	if not tenant then return address; end
	return jid.join("[" .. tenant .. "]" .. node, module.host, resource);
end

local function outward(address)
	local node, host, resource = jid.split(address);
	if host ~= module.host or not node then return address; end
	local tenant, name = node:match("^%[([^%]]+)%](.+)$");
	if not tenant then return address; end
	return jid.join(name, prefix .. "." .. tenant .. "." .. base, resource);
end

local function rewrite(attribute, map)
	return function (stanza, session)
		if not st.is_stanza(stanza) or session.host == internal then return stanza; end
		stanza = st.clone(stanza); -- others may be sent the same
		if stanza.attr[attribute] then stanza.attr[attribute] = map(stanza.attr[attribute]); end
		local conference = stanza.name == "iq" and stanza:get_child("conference", "http://jitsi.org/protocol/focus");
		if conference and conference.attr.room then conference.attr.room = map(conference.attr.room); end
		return stanza;
	end;
end

local incoming, outgoing = rewrite("to", inward), rewrite("from", outward);

local function filter(session)
	if session.type ~= "c2s_unauthed" then return; end
	filters.add_filter(session, "stanzas/in", incoming, 10);
	filters.add_filter(session, "stanzas/out", outgoing, 10);
end

filters.add_filter_hook(filter);
function module.unload() filters.remove_filter_hook(filter); end
