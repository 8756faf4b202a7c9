-- Imitates: jitsi-protocol.md §6.7, §5.9 and §5.10 (mod_muc_lobby_rooms), on the group chat component of the rooms.
--
-- While a room is members-only it has a lobby, `room@jitsi_lobby_muc`. Who is no member hears 407 with its address, or
-- 406 without a display name; who knows the password, or is of `jitsi_lobby_whitelist`, becomes a member and passes. An
-- invitation through the room lets somebody in (and makes a member of its bare JID, which the group chat core does);
-- a kick from the lobby is a refusal. Any configuration form that does not say members-only, from anyone but the
-- focus, destroys the lobby; the lobby's end names the room as the place to go.

local jid = require "util.jid";
local json = require "util.json";
local st = require "util.stanza";

local JITSI = "http://jitsi.org/jitmeet";
local MUC_USER = "http://jabber.org/protocol/muc#user";
local focus = module:get_option_string("jitsi_focus_jid", "focus@auth.meet.jitsi");
local lobby_host = module:get_option_string("jitsi_lobby_muc");
local whitelist = module:get_option_set("jitsi_lobby_whitelist", {});

local function lobby_muc()
	local host = prosody.hosts[lobby_host];
	return host and host.modules.muc;
end

local function notify(room, actor, what)
	local occupant = actor and room:get_occupant_by_real_jid(actor);
	if not occupant then return; end
	what.type = "lobby-notify";
	room:broadcast_message(st.message({ type = "groupchat"; from = occupant.nick })
		:tag("json-message", { xmlns = JITSI }):text(json.encode(what)):up());
end

local function open_lobby(room)
	if room._data.lobbyroom then return false; end
	local address = jid.join(jid.node(room.jid), lobby_host);
	local lobby = lobby_muc().create_room(address);
	lobby:set_persistent(true); -- it stays while nobody waits
	lobby.main_room = room;
	room._data.lobbyroom = address;
	prosody.hosts[lobby_host].events.fire_event("jitsi-lobby-opened", { lobby = lobby; room = room });
	return true;
end

local function close_lobby(room, alternative, why)
	local address = room._data.lobbyroom;
	room._data.lobbyroom, room._data.lobby_extra_reason = nil, nil;
	local lobby = address and lobby_muc().get_room_from_jid(address);
	if not lobby then return false; end
	lobby:set_persistent(false);
	lobby:destroy(alternative, why or "Lobby room closed.");
	return true;
end

-- for mod_jitsi_wait_for_host
module:hook("jitsi-open-lobby", function (event)
	event.room:set_members_only(true);
	open_lobby(event.room);
	event.room._data.lobby_extra_reason = event.reason;
end);
module:hook("jitsi-close-lobby", function (event)
	event.room:set_members_only(false);
	close_lobby(event.room, event.room.jid, event.reason);
end);

module:hook("muc-config-submitted", function (event)
	local room, actor = event.room, event.actor;
	if jid.bare(actor) == focus then return; end
	if event.fields["muc#roomconfig_membersonly"] then
		if open_lobby(room) then notify(room, actor, { event = "LOBBY-ENABLED"; value = true }); end
	elseif close_lobby(room, room.jid) then
		notify(room, actor, { event = "LOBBY-ENABLED"; value = false });
	end
end, -1);

module:hook("muc-room-destroyed", function (event)
	close_lobby(event.room, nil);
end);

module:hook("muc-disco#info", function (event)
	if event.room:get_members_only() and event.room._data.lobbyroom then
		local value = event.room._data.lobbyroom;
		table.insert(event.form, {
			name = "muc#roominfo_lobbyroom"; type = "text-single"; label = "Lobby room jid"; value = value;
		});
	end
end);

local function passes(room, stanza)
	local from = stanza.attr.from;
	local affiliation = room:get_affiliation(from);
	if affiliation == "owner" or affiliation == "admin" or affiliation == "member" then return true; end
	local x = stanza:get_child("x", "http://jabber.org/protocol/muc");
	local password = room:get_password();
	if whitelist:contains((jid.host(from))) or password and x and x:get_child_text("password") == password then
		room:set_affiliation(true, jid.bare(from), "member");
		return true;
	end
	return false;
end

module:hook("muc-occupant-pre-join", function (event)
	local room, stanza, origin = event.room, event.stanza, event.origin;
	if not (room:get_members_only() and room._data.lobbyroom) or jid.bare(stanza.attr.from) == focus then return; end
	if passes(room, stanza) then
		-- it was made when the joining one was no member yet
		event.occupant.role = room:get_default_role(room:get_affiliation(stanza.attr.from)) or "participant";
		return;
	end
	local extra = room._data.lobby_extra_reason;
	local nick = stanza:get_child_text("nick", "http://jabber.org/protocol/nick");
	if not extra and (nick or "") == "" then
		local reply = st.error_reply(stanza, "modify", "not-acceptable", nil, room.jid);
		reply.tags[1].attr.code = "406";
		origin.send(reply:tag("displayname-required", { xmlns = JITSI; lobby = "true" }):up());
		return true;
	end
	local reply = st.error_reply(stanza, "auth", "registration-required", nil, room.jid);
	reply.tags[1].attr.code = "407";
	if extra then reply:tag(extra, { xmlns = JITSI }):up(); end
	-- within the error, and for old clients once more beside it; a browser that finds both in one place joins them up
	reply:tag("lobbyroom", { xmlns = JITSI }):text(room._data.lobbyroom):up():up();
	reply:tag("lobbyroom"):text(room._data.lobbyroom):up();
	origin.send(reply);
	return true;
end, -4);

-- several invitations in one message; the core takes the first alone
module:hook("message/bare", function (event)
	local origin, stanza = event.origin, event.stanza;
	local x = (stanza.attr.type or "normal") == "normal" and stanza:get_child("x", MUC_USER);
	local room = x and module:depends "muc".get_room_from_jid(stanza.attr.to);
	if not room or #x.tags < 2 then return; end
	for invite in x:childtags("invite") do
		local single = st.message(stanza.attr):tag("x", { xmlns = MUC_USER }):add_child(st.clone(invite)):reset();
		room:handle_mediated_invite(origin, single);
	end
	return true;
end, 1);

local function waiting_occupant(room, real)
	local lobby = room._data.lobbyroom and lobby_muc().get_room_from_jid(room._data.lobbyroom);
	local occupant = lobby and lobby:get_occupant_by_real_jid(real);
	if not occupant then return; end
	local presence = occupant:get_presence(real);
	return occupant.nick, presence and presence:get_child_text("nick", "http://jabber.org/protocol/nick");
end

module:hook("muc-invite", function (event)
	local nick, name = waiting_occupant(event.room, event.stanza.attr.to);
	if nick then
		local by = event.incoming.attr.from;
		notify(event.room, by, { event = "LOBBY-ACCESS-GRANTED"; value = nick; name = name });
	end
end);

module:hook("jitsi-lobby-denied", function (event)
	notify(event.room, event.actor, { event = "LOBBY-ACCESS-DENIED"; value = event.nick; name = event.name });
end);
