-- Imitates: jitsi-protocol.md §8.3 (mod_reservations), on the main domain.
--
-- A conference request for a room that does not exist waits until the reservation service has answered. Not asked:
-- sessions of other domains. What the service refuses is refused for `jitsi_reservations_cache` seconds without asking
-- again; who is past its end hears 419, and its room is destroyed.
--
-- jitsi_reservations_url = "http://127.0.0.1:1234"   jitsi_reservations_muc = "muc.meet.jitsi"
-- jitsi_reservations_check = 60      jitsi_reservations_cache = 30      jitsi_reservations_retry = 3

local datetime = require "util.datetime";
local http = require "net.http";
local jid = require "util.jid";
local json = require "util.json";
local st = require "util.stanza";

local url = module:get_option_string("jitsi_reservations_url");
local muc_host = module:get_option_string("jitsi_reservations_muc");
local check = module:get_option_number("jitsi_reservations_check", 60);
local cache = module:get_option_number("jitsi_reservations_cache", 30);
local pause = module:get_option_number("jitsi_reservations_retry", 3);

local HEADERS = { ["Content-Type"] = "application/x-www-form-urlencoded"; ["User-Agent"] = "Prosody" };
local TRIES = 3;

-- By room: `waiting` (what came meanwhile), then `meeting` and `ends`, or `code`, `text` and `until`.
local known = {};

local function get_room(address)
	return prosody.hosts[muc_host].modules.muc.get_room_from_jid(address);
end

local function refuse(session, stanza, code, text)
	local reply = st.error_reply(stanza, "cancel", "service-unavailable", text, module.host);
	session.send(reply:tag("reservation-error", {
		xmlns = "http://jitsi.org/protocol/focus"; ["error-code"] = tostring(code);
	}):up());
end

local function answer(entry, session, stanza)
	if not entry.meeting then return refuse(session, stanza, entry.code, entry.text); end
	if entry.ends <= os.time() then return refuse(session, stanza, 419, "Reservation expired"); end
	prosody.core_route_stanza(session, stanza);
end

local function decide(entry, change)
	for key, value in pairs(change) do entry[key] = value; end
	local waiting = entry.waiting;
	entry.waiting = nil;
	for _, one in ipairs(waiting) do answer(entry, one.session, one.stanza); end
end

local function decide_no(entry, code, text)
	decide(entry, { code = code; text = text; ["until"] = os.time() + cache });
end

local function request(path, options, done, try)
	options.headers = HEADERS;
	local over = false;
	local function once(body, code)
		if over then return; end
		over = true;
		if (code == 0 or code >= 500) and (try or 1) < TRIES then
			module:add_timer(pause, function () request(path, options, done, (try or 1) + 1); end);
		else
			done(body, code);
		end
	end
	http.request(url .. path, options, function (body, code) once(body, code or 0); end);
	module:add_timer(20, function () once("timeout", 500); end);
end

local function read_meeting(entry, name, body)
	local meeting = json.decode(body or "");
	local starts = type(meeting) == "table" and type(meeting.start_time) == "string" and datetime.parse(meeting.start_time);
	if not starts or not meeting.id or meeting.name ~= name or not meeting.mail_owner or not tonumber(meeting.duration) then
		return decide_no(entry, 500, "the answer of the reservation service is not understood");
	end
	decide(entry, { meeting = meeting; ends = starts + tonumber(meeting.duration) });
end

local function ask(entry, name, owner)
	local function refused(body, code)
		local said = json.decode(body or "");
		decide_no(entry, code, type(said) == "table" and said.message or "the reservation service said no");
	end
	local start = os.date("!%Y-%m-%dT%H:%M:%S.000Z");
	local form = http.formencode({
		{ name = "name"; value = name }; { name = "start_time"; value = start }; { name = "mail_owner"; value = owner };
	});
	request("/conference", { method = "POST"; body = form }, function (body, code)
		if code == 200 or code == 201 then return read_meeting(entry, name, body); end
		local said = json.decode(body or "");
		if code ~= 409 or type(said) ~= "table" or not said.conflict_id then return refused(body, code); end
		request("/conference/" .. tostring(said.conflict_id), { method = "GET" }, function (other, other_code)
			if other_code == 200 then read_meeting(entry, name, other); else refused(other, other_code); end
		end);
	end);
end

module:hook("pre-iq/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local conference = stanza.attr.type == "set" and stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	local address = conference and jid.prep(conference.attr.room);
	if not address or jid.host(address) ~= muc_host or get_room(address) then return; end
	local entry = known[address];
	if entry and (entry.waiting or entry.meeting or entry["until"] > os.time()) then
		if entry.waiting then
			table.insert(entry.waiting, { session = session; stanza = st.clone(stanza) });
		else
			answer(entry, session, stanza);
		end
		return true;
	end
	entry = { waiting = { { session = session; stanza = st.clone(stanza) } } };
	known[address] = entry;
	ask(entry, jid.node(address), jid.bare(session.full_jid));
	return true;
end);

local function on_muc(host)
	if host ~= muc_host then return; end
	local muc = module:context(muc_host);
	muc:hook("muc-room-created", function (event)
		local entry = known[event.room.jid];
		if not entry or not entry.meeting then return; end
		if entry.meeting.password then event.room:set_password(tostring(entry.meeting.password)); end
		if entry.meeting.lobby then muc:fire_event("jitsi-open-lobby", { room = event.room }); end
	end);
	muc:hook("muc-room-destroyed", function (event)
		local entry = known[event.room.jid];
		known[event.room.jid] = nil;
		if not entry or not entry.meeting then return; end
		request("/conference/" .. tostring(entry.meeting.id), { method = "DELETE" }, function () end);
	end);
end
if prosody.hosts[muc_host] then on_muc(muc_host); else module:hook_global("host-activated", on_muc); end

module:add_timer(check, function ()
	for address, entry in pairs(known) do
		local room = entry.ends and entry.ends <= os.time() and get_room(address);
		if room then room:destroy(nil, "Scheduled conference duration exceeded."); end
	end
	return check;
end);
