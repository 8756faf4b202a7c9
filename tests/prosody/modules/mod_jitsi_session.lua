-- Imitates: jitsi-protocol.md §2.1 (mod_jitsi_session).
--
-- What a WebSocket or BOSH URL says is kept in the session: `room`, `prefix`, `previd`, `token` (or a Bearer token in
-- the Authorization header) and `customusername`. A session over plain TCP has none of them. A resumed session keeps
-- what its first connection said.

module:set_global();

local formdecode = require "util.http".formdecode;

local function read_url(event)
	local session, request = event.session, event.request;
	local query = request.url.query;
	local said = query and formdecode(query);
	if type(said) ~= "table" then said = {}; end
	session.jitsi_web_query_room = said.room;
	session.jitsi_web_query_prefix = said.prefix or "";
	session.previd = said.previd;
	session.customusername = said.customusername;
	session.auth_token = said.token
		or (request.headers.authorization or ""):match("^Bearer (.+)$");
end

module:hook("websocket-session", read_url);
module:hook("bosh-session", read_url);
