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
