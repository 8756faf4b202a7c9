-- Imitates: jitsi-protocol.md §1.4 (mod_features_identity).
--
-- disco#info of the main domain names the address of each component as an identity of the category `component`.
--
-- jitsi_components = { lobbyrooms = "lobby.meet.jitsi" }

for kind, address in pairs(module:get_option("jitsi_components", {})) do
	module:add_identity("component", kind, address);
end

if module:get_option("jitsi_components", {}).lobbyrooms then
	module:hook("host-disco-info-node", function (event)
		if event.node ~= "lobbyrooms" then return; end
		event.reply:tag("feature", { var = "http://jitsi.org/protocol/lobbyrooms#displayname_required" }):up();
		event.exists = true;
	end);
end
