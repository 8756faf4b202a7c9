-- Imitates: jitsi-protocol.md §1.4, §6.7 and §5.10, on the group chat component of the lobbies.
--
-- Who asks the component's node `lobbyrooms` hears that one needs a display name to knock.
-- Affiliations in a lobby are those of its room, so that the room's moderators moderate it. Who waits sees moderators
-- and nobody else who waits.

local jid = require "util.jid";

module:hook("host-disco-info-node", function (event)
	if event.node ~= "lobbyrooms" then return; end
	event.reply:tag("feature", { var = "http://jitsi.org/protocol/lobbyrooms#displayname_required" }):up();
	event.exists = true;
end);

local function from_owner(lobby, nick)
	local occupant = lobby:get_occupant_by_nick(nick);
	return occupant and lobby:get_affiliation(occupant.bare_jid) == "owner";
end

module:hook("jitsi-lobby-opened", function (event)
	local lobby, room = event.lobby, event.room;
	function lobby.get_affiliation(_, who) return room:get_affiliation(who); end
	local route = lobby.route_stanza;
	function lobby:route_stanza(stanza)
		local from, to = stanza.attr.from, stanza.attr.to;
		if stanza.name == "presence" and stanza.attr.type ~= "error" and jid.resource(from) then
			local own = self:get_occupant_jid(to) == from;
			local gone = stanza.attr.type == "unavailable";
			if not own and not gone and self:get_affiliation(to) ~= "owner" and not from_owner(self, from) then return; end
		end
		return route(self, stanza);
	end
end);

module:hook("muc-broadcast-presence", function (event)
	local lobby = event.room;
	if not event.actor or event.occupant.role ~= nil or not lobby.main_room then return; end
	local presence = event.occupant:get_presence();
	module:context((jid.host(lobby.main_room.jid))):fire_event("jitsi-lobby-denied", {
		room = lobby.main_room; actor = event.actor; nick = event.occupant.nick;
		name = presence and presence:get_child_text("nick", "http://jabber.org/protocol/nick");
	});
end);
