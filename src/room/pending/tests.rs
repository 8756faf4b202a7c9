#![allow(clippy::disallowed_methods)]

use super::*;
use crate::config::Secret;
use crate::room::{Occupants, settings};
use crate::xmpp::room_form::Field;

const ROOM: &str = "r@muc.example";

fn presence(role: &str, affiliation: &str, real: &str) -> RoomPresence {
    RoomPresence {
        role: Some(Role::read(role)),
        affiliation: Some(Affiliation::read(affiliation)),
        real_jid: Some(real.to_owned()),
        ..RoomPresence::default()
    }
}

struct Scene {
    now: Instant,
    here: Occupants,
    lobby: Option<Occupants>,
    shown: Keeper,
    pending: Pending,
    out: Vec<Output>,
}

impl Scene {
    fn new() -> Scene {
        let now = Instant::now();
        let mut here = Occupants::default();
        here.enter(now, "keeper", &presence("moderator", "owner", "bot@example/k"));
        here.enter(now, "focus", &presence("moderator", "owner", "focus@auth.example/f"));
        here.enter(now, "ann", &presence("participant", "none", "ann@guest.example/1"));
        here.enter(now, "bob", &presence("participant", "member", "bob@guest.example/2"));
        Scene { now, here, lobby: None, shown: Keeper::default(), pending: Pending::default(), out: Vec::new() }
    }

    fn ask(&mut self, key: &str, action: Action) -> Vec<Output> {
        let real_jid = None;
        let actor = Actor::CommandLine { uid: 0 };
        self.request(Request { key: key.into(), actor, action, real_jid, reason: "why".into() })
    }

    fn request(&mut self, request: Request) -> Vec<Output> {
        self.with(|pending, now, facts, out| pending.request(now, request, facts, out))
    }

    fn answer(&mut self, number: u32, answer: Answer<'_>) -> Vec<Output> {
        self.with(|pending, now, facts, out| pending.answered(now, number, answer, facts, out))
    }

    fn with(&mut self, act: impl FnOnce(&mut Pending, Instant, &Facts<'_>, &mut Vec<Output>)) -> Vec<Output> {
        let facts = Facts {
            room: ROOM,
            occupants: &self.here,
            own: "keeper",
            lobby: self.lobby.as_ref(),
            shown: &self.shown,
            focus: true,
            media_refused: false,
            components: Components { av_moderation: true, end_conference: true, metadata: true, lobby: true },
            retraction: None,
            bound: true,
            has_url_room: true,
            many_affiliations: true,
        };
        act(&mut self.pending, self.now, &facts, &mut self.out);
        std::mem::take(&mut self.out)
    }

    fn leaves(&mut self, nick: &str, read: &RoomPresence) -> Vec<Output> {
        self.here.leave(nick, None);
        self.pending.presence(nick, read, true, &mut self.out);
        std::mem::take(&mut self.out)
    }
}

fn sent(out: &[Output]) -> Vec<Step> {
    out.iter().filter_map(|one| if let Output::Send { step, .. } = one { Some(step.clone()) } else { None }).collect()
}

fn words(out: &[Output]) -> Vec<&'static str> {
    let word = |one: &Output| if let Output::Progress { progress, .. } = one { Some(progress.as_str()) } else { None };
    out.iter().filter_map(word).collect()
}

fn cause(out: &[Output]) -> Word {
    let cause =
        out.iter().find_map(|one| if let Output::Progress { progress, .. } = one { progress.cause() } else { None });
    cause.expect("an outcome with a cause").word
}

fn kick(nick: &str) -> Action {
    Action::Kick { nick: nick.into() }
}

fn error(condition: &str) -> StanzaError {
    StanzaError { condition: condition.to_owned(), ..StanzaError::default() }
}

#[test]
fn a_kick_is_over_when_the_room_shows_it_and_not_when_it_is_answered() {
    let mut scene = Scene::new();
    let out = scene.ask("k", kick("ann"));
    assert_eq!(words(&out), ["requested", "sent"]);
    assert_eq!(sent(&out), [Step::Role { lobby: false, nick: "ann".into(), role: Role::None }]);
    assert_eq!(words(&scene.answer(0, Answer::Done)), ["answered"]);
    assert!(!scene.pending.is_idle());
    let kicked = RoomPresence { statuses: vec![Status::KICKED], ..RoomPresence::default() };
    assert_eq!(words(&scene.leaves("ann", &kicked)), ["seen"]);
    assert!(scene.pending.is_idle());
}

#[test]
fn a_key_that_was_given_to_another_action_is_refused_and_nothing_is_sent() {
    let mut scene = Scene::new();
    let nobody = Action::Kick { nick: "nobody".into() };
    scene.ask("1", nobody.clone());
    let out = scene.ask("1", Action::Kick { nick: "bob".into() });
    let [Output::Progress { progress: Progress::Refused(cause), over: true, .. }] = &out[..] else {
        panic!("{out:?}");
    };
    assert!(cause.text.contains("another action"), "{cause:?}");
    let again = scene.ask("1", nobody);
    let [Output::Progress { progress: Progress::Refused(cause), .. }] = &again[..] else { panic!("{again:?}") };
    assert!(cause.text.contains("nobody"), "{cause:?}");
}

#[test]
fn a_key_is_carried_out_once_whenever_it_is_asked_for_again() {
    let mut scene = Scene::new();
    scene.ask("k", kick("ann"));
    let again = scene.ask("k", kick("ann"));
    assert_eq!((sent(&again).len(), words(&again)), (0, vec!["sent"]));
    scene.leaves("ann", &RoomPresence::default());
    let later = scene.ask("k", kick("ann"));
    assert_eq!((sent(&later).len(), words(&later)), (0, vec!["seen"]));
}

#[test]
fn nothing_is_sent_for_somebody_who_is_gone_or_was_replaced() {
    let mut scene = Scene::new();
    let out = scene.ask("1", kick("carl"));
    assert_eq!((sent(&out).len(), cause(&out)), (0, Word::OccupantGone));
    let request = Request {
        key: "2".into(),
        actor: Actor::Rule { name: "flood".into() },
        action: kick("ann"),
        real_jid: Some("mallory@guest.example/9".into()),
        reason: "".into(),
    };
    let out = scene.request(request);
    assert_eq!((sent(&out).len(), cause(&out)), (0, Word::OccupantGone));
}

#[test]
fn a_form_keeps_the_lobby_that_is_on() {
    let mut scene = Scene::new();
    let out = scene.ask("lock", Action::Lock { password: Some(Secret::new("sesame")) });
    assert_eq!(sent(&out), [Step::Form]);
    let boolean = |on: &str| Field { kind: "boolean".into(), values: vec![on.into()], options: vec![] };
    let mut form = RoomForm::default();
    form.fields.insert(room_form::MEMBERS_ONLY.into(), boolean("1"));
    form.fields.insert(room_form::ROOM_SECRET.into(), Field::default());
    let out = scene.answer(0, Answer::Form(&form));
    let fields = vec![(room_form::ROOM_SECRET.into(), vec!["sesame".into()])];
    assert_eq!(sent(&out), [Step::Submit { members_only: true, fields }]);
    assert_eq!(words(&scene.answer(0, Answer::Done)), ["answered"]);
    form.fields.insert(room_form::ROOM_SECRET.into(), Field { values: vec!["sesame".into()], ..Field::default() });
    scene.pending.form(&form, &mut scene.out);
    assert_eq!(words(&scene.out), ["seen"]);
}

#[test]
fn a_field_that_the_room_does_not_offer_is_said_and_not_sent() {
    let mut scene = Scene::new();
    let fields = vec![(room_form::MAX_USERS.into(), vec!["5".into()])];
    scene.ask("c", Action::Configure { fields });
    let out = scene.answer(0, Answer::Form(&RoomForm::default()));
    assert_eq!((sent(&out).len(), cause(&out)), (0, Word::Unsupported));
}

#[test]
fn before_the_lobby_comes_on_everybody_inside_is_made_a_member() {
    let mut scene = Scene::new();
    let out = scene.ask("l", Action::Lobby { on: true });
    let members = Step::Affiliate { jids: vec!["ann@guest.example".into()], to: Affiliation::Member };
    assert_eq!(sent(&out), [members]);
    assert_eq!(sent(&scene.answer(0, Answer::Done)), [Step::Form]);
    let mut form = RoomForm::default();
    form.fields.insert(room_form::MEMBERS_ONLY.into(), Field { values: vec!["0".into()], ..Field::default() });
    let out = scene.answer(0, Answer::Form(&form));
    assert_eq!(sent(&out), [Step::Submit { members_only: true, fields: vec![] }]);
}

#[test]
fn mute_all_asks_for_each_but_ourselves_and_the_focus_and_waits_for_all_answers() {
    let mut scene = Scene::new();
    let out = scene.ask("m", Action::Mute { nick: None, medium: Medium::Audio });
    let nicks: Vec<_> = sent(&out)
        .into_iter()
        .map(|step| if let Step::Mute { nick, .. } = step { nick } else { panic!("{step:?}") })
        .collect();
    assert_eq!(nicks, ["ann".into(), "bob".into()]);
    assert_eq!(words(&scene.answer(0, Answer::Done)), Vec::<&str>::new());
    assert_eq!(words(&scene.answer(0, Answer::Done)), ["answered"]);
    assert!(scene.pending.is_idle());
}

#[test]
fn a_recorder_that_cannot_be_muted_does_not_make_muting_everybody_else_a_failure() {
    let refused = error("not-allowed");
    for answers in [[Answer::Refused(&refused), Answer::Done], [Answer::Done, Answer::Refused(&refused)]] {
        let mut scene = Scene::new();
        scene.ask("m", Action::Mute { nick: None, medium: Medium::Audio });
        let mut out = scene.answer(0, answers[0]);
        out.extend(scene.answer(0, answers[1]));
        assert_eq!(words(&out), ["answered"], "{answers:?}");
        assert!(out.iter().any(|one| matches!(one, Output::Partly(text) if text.contains("not-allowed"))), "{out:?}");
    }
    let mut scene = Scene::new();
    scene.ask("m", Action::Mute { nick: None, medium: Medium::Audio });
    assert_eq!(words(&scene.answer(0, Answer::Refused(&refused))), [""; 0]);
    assert_eq!(words(&scene.answer(0, Answer::Refused(&refused))), ["refused"], "nobody is muted");
}

#[test]
fn a_mute_that_the_focus_refuses_is_explained() {
    let mut scene = Scene::new();
    scene.ask("m", Action::Mute { nick: Some("ann".into()), medium: Medium::Audio });
    let out = scene.answer(0, Answer::Refused(&error("internal-server-error")));
    let Some(Output::Progress { progress: Progress::Refused(cause), over: true, .. }) = out.last() else {
        panic!("{out:?}")
    };
    assert!(cause.text.contains("declined"), "{}", cause.text);
}

#[test]
fn an_effect_that_does_not_show_is_said_to_be_unknown() {
    let mut scene = Scene::new();
    scene.ask("k", kick("ann"));
    scene.answer(0, Answer::Done);
    scene.now = scene.pending.deadline().expect("the effect is waited for");
    assert_eq!(words(&scene.with(|pending, now, facts, out| pending.timeout(now, facts, out))), ["timed-out"]);
    assert_eq!(scene.pending.deadline(), None);
}

#[test]
fn a_destroyed_room_ends_what_was_to_end_it_and_refuses_the_rest() {
    let mut scene = Scene::new();
    scene.ask("d", Action::Destroy);
    scene.ask("k", kick("ann"));
    let cause = Cause::new(Word::Destroyed, "the room was destroyed");
    scene.pending.outside(true, &cause, &mut scene.out);
    assert_eq!(words(&scene.out), ["seen", "refused"]);
}

#[test]
fn what_the_room_cannot_do_is_refused_with_what_is_missing() {
    let mut scene = Scene::new();
    let out = scene.ask("r", Action::Retract { stanza_id: "x".into() });
    assert_eq!((sent(&out).len(), cause(&out)), (0, Word::Unsupported));
    scene.here.enter(scene.now, "keeper", &presence("participant", "none", "bot@example/k"));
    let out = scene.ask("k", kick("ann"));
    assert_eq!((sent(&out).len(), cause(&out)), (0, Word::NotModerator));
}

#[test]
fn whoever_waits_is_let_in_by_their_real_jid() {
    let mut scene = Scene::new();
    let mut lobby = Occupants::default();
    lobby.enter(scene.now, "dan", &presence("participant", "none", "dan@guest.example/7"));
    scene.lobby = Some(lobby);
    let out = scene.ask("a", Action::Admit { nick: "dan".into() });
    assert_eq!(sent(&out), [Step::Invite("dan@guest.example/7".into())]);
    scene.pending.left_lobby("dan", &mut scene.out);
    assert_eq!(words(&scene.out), ["seen"]);
}

#[test]
fn whoever_waits_by_now_under_the_nick_of_who_was_meant_is_neither_let_in_nor_sent_away() {
    let mut scene = Scene::new();
    let mut lobby = Occupants::default();
    lobby.enter(scene.now, "dan", &presence("participant", "none", "mallory@guest.example/7"));
    scene.lobby = Some(lobby);
    for (key, action) in [("a", Action::Admit { nick: "dan".into() }), ("d", Action::Deny { nick: "dan".into() })] {
        let actor = Actor::Authority { name: "story".into() };
        let real_jid = Some("dan@guest.example/7".into());
        let out = scene.request(Request { key: key.into(), actor, action, real_jid, reason: "".into() });
        assert_eq!((sent(&out), cause(&out)), (vec![], Word::OccupantGone));
    }
}

#[test]
fn a_newcomer_whom_the_focus_does_not_mute_yet_is_muted_a_moment_later_on_an_authoritys_word() {
    let mut scene = Scene::new();
    let mute = |key: &str, actor| {
        let action = Action::Mute { nick: Some("ann".into()), medium: Medium::Audio };
        Request { key: key.into(), actor, action, real_jid: None, reason: "".into() }
    };
    let (authority, refusal) = (Actor::Authority { name: "story".into() }, error("internal-server-error"));
    let step = Step::Mute { nick: "ann".into(), medium: Medium::Audio };
    assert_eq!(sent(&scene.request(mute("a", authority.clone()))), std::slice::from_ref(&step));
    for _ in 0..14 {
        assert_eq!(scene.answer(0, Answer::Refused(&refusal)), []);
        scene.now = scene.pending.deadline().expect("it is tried again");
        let out = scene.with(|pending, now, facts, out| pending.timeout(now, facts, out));
        assert_eq!(sent(&out), std::slice::from_ref(&step));
    }
    assert_eq!(words(&scene.answer(0, Answer::Done)), ["answered"]);
    scene.now += AGAIN;
    scene.request(mute("b", authority));
    assert_eq!(words(&scene.answer(1, Answer::Refused(&refusal))), ["refused"], "no newcomer any more");
}

#[test]
fn a_mute_that_is_said_again_is_not_for_whoever_took_the_nick_meanwhile() {
    let mut scene = Scene::new();
    let (action, real_jid) =
        (Action::Mute { nick: Some("ann".into()), medium: Medium::Audio }, Some("ann@guest.example/1".into()));
    let actor = Actor::Authority { name: "story".into() };
    scene.request(Request { key: "a".into(), actor, action, real_jid, reason: "".into() });
    assert_eq!(scene.answer(0, Answer::Refused(&error("internal-server-error"))), []);
    scene.here.leave("ann", Some("anna"));
    scene.here.enter(scene.now, "ann", &presence("participant", "none", "eve@guest.example/3"));
    scene.now += AGAIN;
    let out = scene.with(|pending, now, facts, out| pending.timeout(now, facts, out));
    assert_eq!((sent(&out), words(&out), cause(&out)), (vec![], vec!["refused"], Word::OccupantGone));
    assert!(scene.pending.is_idle());
}

#[test]
fn a_new_nick_is_no_sign_that_somebody_was_given_voice() {
    let mut scene = Scene::new();
    scene.ask("v", Action::Voice { nick: "ann".into(), on: true });
    let renamed = RoomPresence {
        new_nick: Some("anna".into()),
        statuses: vec![Status::RENAMED],
        ..presence("participant", "none", "ann@guest.example/1")
    };
    scene.here.leave("ann", Some("anna"));
    let out = scene.with(|pending, _, _, out| pending.presence("ann", &renamed, true, out));
    assert_eq!(out, []);
    assert_eq!(words(&scene.answer(0, Answer::Refused(&error("item-not-found")))), ["refused"]);
}

#[test]
fn what_was_sent_before_the_stream_was_lost_may_yet_be_seen() {
    let mut scene = Scene::new();
    scene.ask("k", kick("ann"));
    scene.ask("l", Action::Lock { password: None });
    let cause = Cause::new(Word::Disconnected, "the connection is lost");
    scene.pending.interrupted(&cause, &mut scene.out);
    assert_eq!((words(&scene.out), self::cause(&scene.out)), (vec!["refused"], Word::Disconnected));
    scene.out.clear();
    assert_eq!(words(&scene.leaves("ann", &RoomPresence::default())), ["seen"]);
}

#[test]
fn what_is_waited_for_has_its_whole_time_again_when_the_stream_is_resumed() {
    let mut scene = Scene::new();
    scene.ask("s", Action::Say { nick: None, text: "hello".into() });
    scene.ask("k", kick("ann"));
    scene.answer(1, Answer::Done);
    let cause = Cause::new(Word::Disconnected, "the connection is lost");
    scene.pending.interrupted(&cause, &mut scene.out);
    scene.now += Duration::from_secs(100);
    scene.pending.resumed(scene.now);
    assert_eq!(scene.with(|pending, now, facts, out| pending.timeout(now, facts, out)), []);
    scene.now += EFFECT;
    assert_eq!(words(&scene.with(|pending, now, facts, out| pending.timeout(now, facts, out))), ["timed-out"]);
    assert_eq!(words(&scene.with(|pending, _, _, out| pending.said("hello", out))), ["seen"]);
    assert_eq!(scene.pending.deadline(), None);
}

#[test]
fn a_second_form_waits_for_the_first_so_that_it_keeps_the_lobby_which_that_brought() {
    let mut scene = Scene::new();
    scene.here.leave("ann", None);
    assert_eq!(sent(&scene.ask("lobby", Action::Lobby { on: true })), [Step::Form]);
    let second = scene.ask("lock", Action::Lock { password: Some(Secret::new("sesame")) });
    assert_eq!((sent(&second), words(&second)), (vec![], vec!["requested"]));
    let mut form = RoomForm::default();
    form.fields.insert(room_form::MEMBERS_ONLY.into(), Field { values: vec!["0".into()], ..Field::default() });
    form.fields.insert(room_form::ROOM_SECRET.into(), Field::default());
    scene.answer(0, Answer::Form(&form));
    let advance = |scene: &mut Scene| scene.with(|pending, now, facts, out| pending.advance(now, facts, out));
    assert_eq!(advance(&mut scene), []);
    // accepted: its own form is looked at again, and the second may begin
    assert_eq!(sent(&scene.answer(0, Answer::Done)), [Step::Form]);
    assert_eq!(sent(&advance(&mut scene)), [Step::Form]);
    form.fields.insert(room_form::MEMBERS_ONLY.into(), Field { values: vec!["1".into()], ..Field::default() });
    assert_eq!(words(&scene.answer(0, Answer::Form(&form))), ["seen"]);
    let out = scene.answer(1, Answer::Form(&form));
    assert!(matches!(sent(&out)[..], [Step::Submit { members_only: true, .. }]), "{out:?}");
}

#[test]
fn what_the_room_has_already_is_done_at_once() {
    let mut scene = Scene::new();
    for input in
        [settings::Input::Subject { text: "Pony", by: None }, settings::Input::AvModeration(Medium::Audio, true)]
    {
        scene.shown.handle(scene.now, input, &settings::Locked::default(), &mut Vec::new());
    }
    let subject = |text: &str| Action::Subject { text: text.into() };
    // Nothing is sent: the service would say nothing to it.
    let out = scene.ask("1", subject("Pony"));
    assert!(matches!(&out[..], [Output::Progress { progress: Progress::Seen, over: true, .. }]), "{out:?}");
    assert_eq!(sent(&scene.ask("2", subject("Dragon"))), [Step::Subject("Dragon".into())]);
    assert_eq!(sent(&scene.ask("3", subject("Pony"))), [Step::Subject("Pony".into())], "another is on its way");
    let out = scene.ask("4", Action::AvModeration { medium: Medium::Audio, on: true });
    let number = out.iter().find_map(|one| if let Output::Send { number, .. } = one { Some(*number) } else { None });
    let out = scene.answer(number.expect("it is asked for"), Answer::Done);
    assert!(matches!(out.last(), Some(Output::Progress { progress: Progress::Seen, over: true, .. })), "{out:?}");
}

#[test]
fn a_component_that_asked_somebody_to_unmute_and_says_that_it_did_nothing_has_asked_them() {
    let ask = Action::Approve { nick: "ann".into(), medium: Medium::Audio, on: true };
    let unavailable = StanzaError { condition: "service-unavailable".to_owned(), ..StanzaError::default() };
    // As an errand tells it.
    let text = Some("the component refused it for r@muc.example: service-unavailable".to_owned());
    let told = StanzaError { condition: "action-refused".to_owned(), text, ..StanzaError::default() };
    for error in [&unavailable, &told] {
        let mut scene = Scene::new();
        scene.ask("k", ask.clone());
        assert_eq!(words(&scene.answer(0, Answer::Refused(error))), ["answered"], "{error:?}");
    }
    let other = StanzaError { condition: "action-refused".to_owned(), ..StanzaError::default() };
    let mut scene = Scene::new();
    scene.ask("k", ask.clone());
    assert_eq!(cause(&scene.answer(0, Answer::Refused(&other))), Word::ActionRefused);
    let mut scene = Scene::new();
    let on = settings::Input::AvModeration(Medium::Audio, true);
    scene.shown.handle(scene.now, on, &settings::Locked::default(), &mut Vec::new());
    scene.ask("k", ask);
    assert_eq!(cause(&scene.answer(0, Answer::Refused(&unavailable))), Word::ActionRefused);
}

#[test]
fn a_field_that_the_room_takes_and_leaves_as_it_is_is_not_offered_and_one_that_somebody_else_sets_is() {
    let form = |value: &str| {
        let moderated = Field { kind: "boolean".to_owned(), values: vec![value.to_owned()], ..Field::default() };
        RoomForm { fields: [(room_form::MODERATED.to_owned(), moderated)].into() }
    };
    let set = || Action::Configure { fields: vec![(room_form::MODERATED.into(), vec!["1".into()])] };
    for (changed, word) in [(false, Word::Unsupported), (true, Word::ActionTimedOut)] {
        let mut scene = Scene::new();
        scene.ask("k", set());
        scene.answer(0, Answer::Form(&form("0")));
        scene.answer(0, Answer::Done);
        if changed {
            scene.pending.configured();
        }
        assert_eq!(cause(&scene.answer(0, Answer::Form(&form("0")))), word);
    }
}
