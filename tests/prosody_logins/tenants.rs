//! Rooms of tenants, which have two names.

use super::*;

#[test]
fn a_tenants_room_is_held_under_either_of_its_names() {
    let (prosody, focus) = world(Options { tenants: true, ..Options::default() });
    let inside = format!("[acme]tavern@{MUC}");
    for name in ["[acme]tavern", "tavern@muc.acme.meet.jitsi", "%5BAcme%5DTavern"] {
        let setup = Setup::websocket(&prosody).rooms([name]);
        let mut daemon = Daemon::start(setup);
        let mark = focus.mark();
        focus.wait_held(&[&inside], BARE, seconds(15));
        daemon.wait_all_held(seconds(5));
        for called in ["[acme]tavern", "tavern@muc.acme.meet.jitsi"] {
            assert_eq!(row(&daemon, called)["jid"], "tavern@muc.acme.meet.jitsi", "{name}, called {called}");
        }
        assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0));
        until("it left", seconds(5), || gone(&focus, &inside, mark).then_some(()));
    }
}

#[test]
fn the_url_names_the_tenant_so_that_a_component_acts_in_the_tenants_room_and_not_in_its_namesake() {
    let (prosody, _focus) = world(Options { tenants: true, components: true, ..Options::default() });
    for (name, sharing) in [("tavern", "rooms_per_session = 1"), ("cellar", "rooms_per_session = 50")] {
        let mut setup = Setup::websocket(&prosody).rooms([format!("[acme]{name}")]).with(sharing);
        setup.more = "[defaults]\nav_moderation = [\"audio\"]\n".to_owned();
        // The namesake is moderated by somebody who switches nothing on.
        let mut namesake = alice(&prosody, &format!("{name}@{MUC}"));
        let mut daemon = Daemon::start(setup);
        daemon.wait_all_held(seconds(15));
        let enabled = |client: &mut Client, limit| {
            let said = |node: &support::xml::Node| {
                node.attr("from") == AV_MODERATION
                    && node.child("json-message").is_some_and(|json| json.text.contains("enabled"))
            };
            client.find(limit, said).expect("a live stream").is_some()
        };
        let mut guest = Client::anonymous(prosody.http(), "", GUESTS).expect("a login");
        guest.join(&format!("{name}@muc.acme.meet.jitsi"), "b0b00000");
        assert!(enabled(&mut guest, seconds(10)), "{sharing}: audio is not moderated in the tenant's room");
        assert!(!enabled(&mut namesake, seconds(0)), "{sharing}: audio is moderated in another room");
        assert_eq!(daemon.stop().and_then(|status| status.code()), Some(0));
    }
}
