#![allow(clippy::disallowed_methods)]

use super::*;
use crate::xmpp::room_form::Field;

fn form(fields: &[(&str, &str)]) -> RoomForm {
    let field = |(var, value): &(&str, &str)| {
        ((*var).to_owned(), Field { kind: "text-single".into(), values: vec![(*value).to_owned()], options: vec![] })
    };
    RoomForm { fields: fields.iter().map(field).collect() }
}

struct Scene {
    now: Instant,
    keeper: Keeper,
    locked: Locked,
}

impl Scene {
    fn new(locked: Locked) -> Scene {
        Scene { now: Instant::now(), keeper: Keeper::default(), locked }
    }

    fn with(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.keeper.handle(self.now, input, &self.locked, &mut out);
        out
    }

    fn hears(&mut self, text: &str, by: &str) -> Vec<Output> {
        self.with(Input::Subject { text, by: Some(by) })
    }
}

fn subject(text: &str) -> Locked {
    Locked { subject: Some(text.into()), ..Locked::default() }
}

fn does(out: &[Output]) -> Vec<Action> {
    out.iter().filter_map(|one| if let Output::Do(_, action) = one { Some(action.clone()) } else { None }).collect()
}

fn drifts(out: &[Output]) -> usize {
    out.iter().filter(|one| matches!(one, Output::Drifted { .. })).count()
}

#[test]
fn a_new_room_gets_its_subject_without_a_word_of_drift() {
    let mut scene = Scene::new(subject("The Prancing Pony"));
    assert_eq!(scene.with(Input::Subject { text: "", by: None }), []);
    let out = scene.with(Input::Moderator { new: true });
    assert_eq!((does(&out).len(), drifts(&out)), (1, 0));
    assert_eq!(scene.hears("The Prancing Pony", "keeper"), []);
    assert_eq!(scene.keeper.drifting().count(), 0);
}

#[test]
fn a_subject_that_somebody_changes_is_set_again_at_once() {
    let mut scene = Scene::new(subject("s"));
    scene.with(Input::Moderator { new: true });
    scene.hears("s", "keeper");
    let out = scene.hears("mine", "mallory");
    let Some(Output::Drifted { by, is, should, restored_at, .. }) = out.first() else { panic!("{out:?}") };
    assert_eq!((by.as_deref(), &**is, &**should, *restored_at), (Some("mallory"), "mine", "s", Some(scene.now)));
    assert_eq!(does(&out), [Action::Subject { text: "s".into() }]);
    assert_eq!(scene.hears("s", "keeper"), [Output::Restored(Setting::Subject)]);
}

#[test]
fn two_who_fight_are_slowed_down_and_calm_lets_them_begin_again() {
    let mut scene = Scene::new(subject("s"));
    scene.with(Input::Subject { text: "", by: None });
    assert_eq!(does(&scene.with(Input::Moderator { new: true })).len(), 1, "setting it up is no drift");
    scene.hears("s", "keeper");
    let mut at_once = 0;
    for _ in 0..6 {
        at_once += does(&scene.hears("mine", "bot")).len();
        while let Some(at) = scene.keeper.deadline() {
            assert!(at > scene.now);
            scene.now = at;
            assert_eq!(does(&scene.with(Input::Timeout)).len(), 1);
        }
        scene.hears("s", "keeper");
    }
    assert_eq!(at_once, 3);
    scene.now += CALM;
    assert_eq!(does(&scene.hears("mine", "bot")).len(), 1);
}

#[test]
fn what_is_only_reported_is_left_and_what_is_ignored_is_not_even_said() {
    for (on_drift, said) in [(OnDrift::Report, 1), (OnDrift::Ignore, 0)] {
        let mut scene = Scene::new(Locked { on_drift, ..subject("s") });
        scene.hears("", "nobody");
        assert_eq!(does(&scene.with(Input::Moderator { new: true })).len(), 1, "a new room is set up all the same");
        scene.hears("s", "keeper");
        let out = scene.hears("mine", "ann");
        assert_eq!((does(&out).len(), drifts(&out)), (0, said));
        assert_eq!(scene.hears("mine too", "ann"), [], "it is said once");
    }
}

#[test]
fn a_value_that_a_list_does_not_offer_is_told_with_those_that_it_does_and_a_longer_list_is_another() {
    // Prosody 13.0.1's form, cut down; the order of a list's values is not the same each time
    let offered = |presence: &str| {
        format!(
            "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='form'>\
             <field var='muc#roomconfig_presencebroadcast' type='list-multi'><option label='none'><value>none</value></option>\
             <option><value>visitor</value></option><option><value>participant</value></option>\
             <option><value>moderator</value></option>{presence}</field>\
             <field var='muc#roomconfig_allowpm' type='list-single'><option><value>visitor</value></option>\
             <option><value>participant</value></option><option><value>none</value></option><value>visitor</value></field>\
             <field var='{{xmpp:prosody.im}}muc#allow_modpm' type='boolean'><value>0</value></field></x></query></iq>"
        )
    };
    let form = |presence: &str| RoomForm::read(&offered(presence).parse().expect("the test's own text"));
    let locked = Locked {
        fields: [
            ("muc#roomconfig_allowpm".into(), "participants".into()),
            ("muc#roomconfig_presencebroadcast".into(), "moderator".into()),
            ("{xmpp:prosody.im}muc#allow_modpm".into(), "false".into()),
        ]
        .into(),
        ..Locked::default()
    };
    let mut scene = Scene::new(locked);
    scene.with(Input::Moderator { new: true });
    let three = "<value>moderator</value><value>visitor</value><value>participant</value>";
    let out = scene.with(Input::Form(&form(three)));
    let allowpm = Setting::Field("muc#roomconfig_allowpm".into());
    let why = "the room takes no \"participants\" for it, but visitor, participant, none";
    assert_eq!(out[0], Output::Unsupported(allowpm, why.into()));
    let presence = Setting::Field("muc#roomconfig_presencebroadcast".into());
    let set = Action::Configure { fields: vec![("muc#roomconfig_presencebroadcast".into(), vec!["moderator".into()])] };
    assert_eq!(out[1..], [Output::Do(presence.clone(), set)]);
    assert_eq!(scene.with(Input::Acted { setting: &presence, unsupported: None }), [Output::AskForm]);
    assert_eq!(scene.with(Input::Form(&form("<value>moderator</value>"))), []);
    assert_eq!(scene.keeper.drifting().count(), 0);
}

#[test]
fn what_the_room_has_otherwise_in_its_form_is_set_and_the_password_never_said() {
    let locked = Locked {
        password: Some(Secret::new("sesame")),
        max_occupants: Some(5),
        fields: [("muc#roomconfig_roomname".into(), "Pony".into())].into(),
        ..Locked::default()
    };
    let mut scene = Scene::new(locked);
    assert_eq!(scene.with(Input::Moderator { new: true }), [Output::AskForm]);
    let right = [(room_form::ROOM_SECRET, "sesame"), ("muc#roomconfig_roomname", "Pony")];
    let out = scene.with(Input::Form(&form(&right)));
    let missing = Setting::Field(room_form::MAX_USERS.into());
    assert_eq!(out, [Output::Unsupported(missing.clone(), "the room does not offer it to us".into())]);
    assert_eq!(scene.keeper.unsupported().collect::<Vec<_>>(), [&missing]);
    assert_eq!(scene.with(Input::Changed), [Output::AskForm]);
    let out = scene.with(Input::Form(&form(&[(room_form::ROOM_SECRET, "open"), ("muc#roomconfig_roomname", "Pony")])));
    assert_eq!(does(&out), [Action::Lock { password: Some(Secret::new("sesame")) }]);
    let said = format!("{out:?}");
    assert!(!said.contains("sesame") && !said.contains("open\""), "{said}");
}

#[test]
fn a_change_while_the_form_is_on_its_way_is_looked_at_after_it() {
    let mut scene = Scene::new(Locked { lobby: Some(true), ..Locked::default() });
    scene.with(Input::Moderator { new: true });
    assert_eq!(scene.with(Input::Changed), []);
    let out = scene.with(Input::Form(&form(&[(room_form::MEMBERS_ONLY, "1")])));
    assert_eq!(out, [Output::AskForm]);
    let out = scene.with(Input::Form(&form(&[(room_form::MEMBERS_ONLY, "0")])));
    assert_eq!((does(&out), drifts(&out)), (vec![Action::Lobby { on: true }], 1));
}

#[test]
fn an_action_that_did_not_help_is_tried_again_ever_later() {
    let mut scene = Scene::new(Locked { lobby: Some(true), ..Locked::default() });
    scene.with(Input::Moderator { new: true });
    let off = form(&[(room_form::MEMBERS_ONLY, "0")]);
    let mut tries = 0;
    let mut out = scene.with(Input::Form(&off));
    for _ in 0..5 {
        if out.is_empty() {
            let at = scene.keeper.deadline().expect("it is tried again");
            scene.now = at;
            out = scene.with(Input::Timeout);
        }
        tries += does(&out).len();
        let asked = scene.with(Input::Acted { setting: &Setting::Lobby, unsupported: None });
        assert_eq!(asked, [Output::AskForm]);
        out = scene.with(Input::Form(&off));
        out.retain(|one| matches!(one, Output::Do(..)));
    }
    assert_eq!(tries, 5);
}

#[test]
fn after_a_restart_of_the_server_everything_is_set_again_and_after_a_kick_a_change_is_a_drift() {
    let mut scene = Scene::new(Locked { on_drift: OnDrift::Report, ..subject("s") });
    scene.with(Input::Moderator { new: true });
    scene.hears("s", "keeper");
    scene.with(Input::Outside);
    scene.with(Input::Subject { text: "mine", by: None });
    let out = scene.with(Input::Moderator { new: false });
    assert_eq!((does(&out).len(), drifts(&out)), (0, 1), "somebody changed it while we were out");
    scene.with(Input::Outside);
    scene.with(Input::Subject { text: "", by: None });
    let out = scene.with(Input::Moderator { new: true });
    assert_eq!((does(&out).len(), drifts(&out)), (1, 0), "the room is new");
}

#[test]
fn what_a_component_does_not_offer_is_said_once_and_not_tried_again() {
    let locked = Locked { av_moderation: [(Medium::Audio, true)].into(), ..Locked::default() };
    let mut scene = Scene::new(locked);
    assert_eq!(does(&scene.with(Input::Moderator { new: true })).len(), 1);
    let setting = Setting::AvModeration(Medium::Audio);
    let refused = || Input::Acted { setting: &setting, unsupported: Some("no component") };
    assert_eq!(scene.with(refused()), [Output::Unsupported(setting.clone(), "no component".into())]);
    assert_eq!(scene.with(refused()), []);
    assert_eq!(scene.with(Input::AvModeration(Medium::Audio, false)), []);
}
