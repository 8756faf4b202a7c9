//! Actions on a session of one room, whose URL names it.

use super::*;
use crate::action::{Action, Actor, Progress, Request};
use crate::room::Moderated;
use crate::room::settings::Locked;
use crate::xmpp::jitsi::mute::Medium;

const AV: &str = "avmoderation.meet.jitsi";
const METADATA: &str = "metadata.meet.jitsi";

/// A tavern in which people are to begin muted and need leave to speak.
fn muted_tavern() -> Settings {
    let av_moderation = [(Medium::Audio, true)].into();
    let locked = Locked { start_muted: Some((true, false)), av_moderation, ..Locked::default() };
    let moderated = Moderated { locked, ..Moderated::default() };
    Settings { moderated: Some(Arc::new(moderated)), ..settings("tavern", true) }
}

/// On its way into that tavern, before its own presence comes.
fn joining() -> Bench {
    let mut bench = Bench::with(Profile { one_room: true, websocket: true, ..profile() });
    bench.put(Input::Online(bound(true)));
    bench.answer_disco(MUC, "conference", "text");
    bench.put(Input::Hold(Arc::new(muted_tavern())));
    let request = bench.conference();
    bench.ready(&request);
    bench.quiet();
    bench
}

/// In that tavern, where components said that both are on.
fn as_it_should_be() -> Bench {
    let mut bench = joining();
    bench.metadata(METADATA, r#"{"startMuted":{"audio":true}}"#);
    bench.list("tavern");
    bench.av_moderation(AV, true);
    bench.components();
    bench.life("6a5b");
    assert_eq!(told(&mut bench), [""; 0]);
    bench
}

/// To whom the session said something that is not a question.
fn told(bench: &mut Bench) -> Vec<String> {
    let messages = bench.stanzas().into_iter().filter(|element| element.name() == "message");
    messages.filter_map(|element| element.attr("to").map(str::to_owned)).collect()
}

#[test]
fn what_components_say_as_a_room_is_entered_is_heard_although_nobody_knows_them_yet() {
    let mut bench = joining();
    // mod_room_metadata_component speaks before the self-presence, mod_av_moderation_component right behind it.
    bench.metadata(METADATA, r#"{"startMuted":{"audio":true}}"#);
    bench.list("tavern");
    bench.av_moderation(AV, true);
    bench.components();
    bench.answer_disco(&format!("tavern@{MUC}"), "conference", "text");
    assert_eq!(told(&mut bench), [""; 0], "everything is as it should be");
    bench.av_moderation(AV, false);
    assert_eq!(told(&mut bench), [AV], "and set again when it is not");
}

#[test]
fn only_a_component_is_believed_once_it_is_known_which_those_are() {
    let mut bench = joining();
    for stranger in ["other.meet.jitsi", "meet.jitsi", &format!("tavern@{MUC}/mallory"), "mallory@meet.jitsi/x"] {
        bench.metadata(stranger, r#"{"startMuted":{"audio":true}}"#);
        bench.av_moderation(stranger, true);
    }
    bench.list("tavern");
    bench.components();
    bench.answer_disco(&format!("tavern@{MUC}"), "conference", "text");
    assert_eq!(told(&mut bench), [AV, METADATA]);
}

#[test]
fn what_was_changed_while_we_were_put_out_is_not_taken_for_unchanged() {
    let mut bench = as_it_should_be();
    bench.hear(&format!(
        "<presence xmlns='jabber:client' type='unavailable' from='tavern@{MUC}/{NICK}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/>\
         <status code='110'/><status code='307'/></x></presence>"
    ));
    bench.pass(Duration::from_secs(600));
    let request = bench.conference();
    bench.ready(&request);
    bench.metadata(METADATA, "{}");
    bench.list("tavern");
    bench.life("6a5b");
    assert_eq!(told(&mut bench), [AV, METADATA], "both were switched off meanwhile");
}

#[test]
fn what_was_changed_while_the_stream_was_lost_is_known_by_what_components_greet_us_with() {
    let mut bench = as_it_should_be();
    let mut again = |greeting: bool| {
        bench.lose();
        bench.put(Input::Online(bound(true)));
        bench.answer_disco(MUC, "conference", "text");
        let request = bench.conference();
        bench.ready(&request);
        if greeting {
            bench.metadata(METADATA, r#"{"startMuted":{"audio":true}}"#);
        }
        bench.list("tavern");
        bench.components();
        bench.life("6a5b");
        told(&mut bench)
    };
    assert_eq!(again(false), [""; 0], "our old session is still inside, and nobody is greeted twice");
    assert_eq!(again(true), [AV], "it was switched off meanwhile");
}

#[test]
fn the_answer_to_an_action_is_heard_also_with_the_resumption_of_a_lost_stream() {
    let outcomes = |bench: &mut Bench| -> Vec<&'static str> {
        let reports = std::mem::take(&mut bench.out.reports).into_iter();
        let outcome = |report| match report {
            Report::Progress { progress, over: true, .. } => Some(progress.as_str()),
            _ => None,
        };
        reports.filter_map(outcome).collect()
    };
    let mut bench = Bench::holding("tavern");
    let action = Action::Affiliate { jid: "mallory@meet.jitsi".into(), to: crate::action::Standing::Outcast };
    let ask = |key: &str| {
        let actor = Actor::CommandLine { uid: 0 };
        Input::Act(
            super::key("tavern"),
            Request { key: key.into(), actor, action: action.clone(), real_jid: None, reason: "".into() },
        )
    };
    let room = format!("tavern@{MUC}");
    bench.put(ask("heard"));
    let is_ban = |element: &Element| element.get_child("query", ns::MUC_ADMIN).is_some();
    let heard = bench.sent().into_iter().find(is_ban).expect("the room is asked");
    bench.put(ask("silence"));
    let handled = u32::try_from(bench.counted()).expect("few");
    bench.lose();
    // Silence says nothing while nobody can be heard.
    bench.pass(Duration::from_secs(40));
    assert_eq!(outcomes(&mut bench), [""; 0]);
    bench.resume(handled);
    let id = heard.attr("id").expect("an id");
    bench.hear(&format!("<iq xmlns='jabber:client' type='result' from='{room}' id='{id}'/>"));
    assert_eq!(outcomes(&mut bench), ["seen"]);
    bench.pass(IQ_TIMEOUT);
    assert_eq!(outcomes(&mut bench), ["timed-out"]);
}

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
    fn metadata(&mut self, from: &str, metadata: &str) {
        self.hear(&format!(
            "<message xmlns='jabber:client' from='{from}' to='keeper@meet.jitsi/x'>\
             <json-message xmlns='http://jitsi.org/jitmeet' room='tavern@{MUC}'>\
             {{\"type\":\"room_metadata\",\"metadata\":{metadata}}}</json-message></message>"
        ));
    }

    fn av_moderation(&mut self, from: &str, on: bool) {
        self.hear(&format!(
            "<message xmlns='jabber:client' from='{from}' to='keeper@meet.jitsi/x'>\
             <json-message xmlns='http://jitsi.org/jitmeet'>{{\"type\":\"av_moderation\",\"enabled\":{on},\
             \"room\":\"tavern@{MUC}\",\"actor\":\"tavern@{MUC}/ann\",\"mediaType\":\"audio\"}}</json-message></message>"
        ));
    }

    fn components(&mut self) {
        let asked = self.asked("meet.jitsi", "query");
        let id = asked.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='meet.jitsi' id='{id}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='component' type='av_moderation' name='{AV}'/>\
             <identity category='component' type='room_metadata' name='{METADATA}'/></query></iq>"
        ));
    }

    /// The room says which life it is in.
    fn life(&mut self, meeting: &str) {
        let room = format!("tavern@{MUC}");
        let asked = self.asked(&room, "query");
        let id = asked.attr("id").expect("an id");
        self.hear(&format!(
            "<iq xmlns='jabber:client' type='result' from='{room}' id='{id}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'><x xmlns='jabber:x:data' type='result'>\
             <field var='muc#roominfo_meetingId'><value>{meeting}</value></field></x></query></iq>"
        ));
    }

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
