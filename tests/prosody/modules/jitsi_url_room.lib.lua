-- What the components that act on the connection's URL have in common (jitsi-protocol.md §2.4, §13.6).

local jid = require "util.jid";
local st = require "util.stanza";

local lib = {};

local muc_host = module:get_option_string("jitsi_muc");

local function get_room(address)
	local muc = prosody.hosts[muc_host] and prosody.hosts[muc_host].modules.muc;
	return muc and muc.get_room_from_jid(address);
end

-- The room that a session's URL names, with the tenant that it names.
function lib.url_room(session)
	local name, tenant = session.jitsi_web_query_room, session.jitsi_web_query_prefix;
	if not name or name == "" then return; end
	if tenant and tenant ~= "" then name = "[" .. tenant .. "]" .. name; end
	return get_room(jid.join(name:lower(), muc_host));
end

-- The occupant that `from` is in `room`, if it moderates there.
function lib.moderator(room, from)
	local occupant = room and room:get_occupant_by_real_jid(from);
	return occupant and occupant.role == "moderator" and occupant or nil;
end

lib.get_room = get_room;

-- Sends JSON to one session.
function lib.tell(to, text, attributes)
	attributes = attributes or {};
	attributes.xmlns = "http://jitsi.org/jitmeet";
	module:send(st.message({ from = module.host; to = to }):tag("json-message", attributes):text(text):up());
end

-- Runs `each` for all sessions of `room` that are not the focus's.
function lib.each_session(room, each)
	for _, occupant in room:each_occupant() do
		for real in occupant:each_session() do each(real, occupant); end
	end
end

-- Hooks something of the group chat component, whichever of the two is loaded first.
function lib.on_muc(event, handler, priority)
	local function add(host)
		if host == muc_host then module:context(host):hook(event, handler, priority); end
	end
	if prosody.hosts[muc_host] then add(muc_host); else module:hook_global("host-activated", add); end
end

return lib;
