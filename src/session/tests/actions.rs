//! Actions on a session of one room, whose URL names it.

use super::*;
use crate::action::{Action, Actor, Progress, Request};
use crate::xmpp::jitsi::mute::Medium;

const AV: &str = "avmoderation.meet.jitsi";

#[test]
fn a_component_that_refuses_ends_the_action_at_once_and_nobody_else_can_refuse_for_it() {
    let mut bench = Bench::with(Profile { one_room: true, websocket: true, ..profile() });
    bench.put(Input::Online(bound(true)));
    bench.answer_disco(MUC, "conference", "text");
    bench.hold("tavern");
    bench.enter("tavern");
    let action = Action::AvModeration { medium: Medium::Audio, on: true };
    let actor = Actor::Rule { name: "test".to_owned() };
    let request = Request { key: "k".into(), actor, action, real_jid: None, reason: "".into() };
    bench.put(Input::Act(key("tavern"), request));
    bench.hear_of_component();
    bench.answer_disco(&format!("tavern@{MUC}"), "conference", "text");
    let sent = bench.sent();
    let command = sent.iter().find(|element| element.attr("to") == Some(AV)).unwrap_or_else(|| panic!("{sent:?}"));
    let id = command.attr("id").expect("an id").to_owned();
    bench.out.reports.clear();
    bench.refuse_message("mallory@meet.jitsi/x", &id);
    assert!(bench.refusals().is_empty());
    bench.refuse_message(AV, &id);
    let refused = bench.refusals();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("service-unavailable"), "{refused:?}");
    bench.refuse_message(AV, &id);
    assert!(bench.refusals().is_empty(), "once");
}

impl Bench {
    fn hear_of_component(&mut self) {
        // It asks what there is once there is something to do.
        let asked = self.asked("meet.jitsi", "query");
        let id = asked.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='meet.jitsi' id='{id}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='component' type='av_moderation' name='{AV}'/></query></iq>"
        ));
    }

    fn refuse_message(&mut self, from: &str, id: &str) {
        self.hear(&format!(
            "<message xmlns='jabber:client' type='error' from='{from}' id='{id}'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
    }

    fn refusals(&mut self) -> Vec<String> {
        let reports = std::mem::take(&mut self.out.reports);
        reports
            .into_iter()
            .filter_map(|report| match report {
                Report::Progress { progress: Progress::Refused(cause), .. } => Some(cause.text.into()),
                _ => None,
            })
            .collect()
    }
}
