//! A guest's session-id: wanting it, waiting for it, taking it. Pure.
//!
//! The browser's way in: anonymous on the guest domain, refused by the focus, upgraded by a session-id that the account
//! fetches in a short login with the same machine-uid. Source: lib-jitsi-meet's `authenticateAndUpgradeRole`; Jicofo's
//! `XMPPDomainAuthAuthority`.

use super::*;

impl Session {
    /// The focus took us for nobody: the account has to log in. Rooms that we are inside of are not left for it.
    pub(super) fn wants_session_id(&mut self, now: Instant, room: u32, out: &mut Outbox) {
        if let (Some(focus), Some(held)) = (&mut self.focus, self.rooms.get(&room))
            && !focus.awaits_session_id()
        {
            let text = "the focus does not know us yet; our account logs in to fetch a session-id";
            focus.await_session_id(Cause::new(Word::AwaitingSession, text));
            out.reports.push(Report::WantsSessionId { room: held.room.settings().jid.clone() });
        }
        self.room_input(now, room, room::Input::AskAgain, out);
        self.show_all(now, out);
    }

    /// What came of the account's login.
    pub(super) fn session_id(&mut self, now: Instant, result: Result<Secret, Cause>, out: &mut Outbox) {
        let Some(focus) = &mut self.focus else { return };
        match result {
            Ok(id) => {
                focus.take_session_id(id);
                for id in self.ids() {
                    self.room_input(now, id, room::Input::Known, out);
                }
            }
            // An answer to a wish that is over says nothing.
            Err(_) if !focus.awaits_session_id() => {}
            Err(cause) => {
                focus.await_session_id(cause);
                self.show_all(now, out);
            }
        }
    }

    /// What all rooms have in common changed; each shows what it shows now.
    fn show_all(&mut self, now: Instant, out: &mut Outbox) {
        for id in self.ids() {
            self.after_room(now, id, Vec::new(), out);
        }
    }
}
