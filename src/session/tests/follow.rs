//! Block lists of others, as their service tells of them.

use super::*;
use crate::xmpp::pubsub::{Change, Item};

const LIST: &str = "rtbl.example";
const STRANGER: &str = "mallory@meet.jitsi/1";

fn list() -> BlockList {
    BlockList { service: "s".into(), jid: LIST.into(), node: "bans".into() }
}

impl Bench {
    fn following() -> Self {
        let mut bench = Bench::online();
        bench.put(Input::Follow(vec![list()]));
        bench
    }

    fn list_says(&mut self, answer: &str) -> Element {
        let asked = self.asked(LIST, "pubsub");
        let id = asked.attr("id").expect("an id");
        self.hear(&format!("<iq xmlns='jabber:client' from='{LIST}' id='{id}' {answer}</iq>"));
        asked
    }

    fn pushed(&mut self, from: &str, inner: &str) {
        self.hear(&format!(
            "<message xmlns='jabber:client' from='{from}' type='headline'>\
             <event xmlns='http://jabber.org/protocol/pubsub#event'>{inner}</event></message>"
        ));
    }

    fn told_of_lists(&mut self) -> Vec<Told> {
        let told = |report| if let Report::List(of, told) = report { Some((of, told)) } else { None };
        let all: Vec<_> = self.out.reports.drain(..).filter_map(told).collect();
        assert!(all.iter().all(|(of, _)| *of == list()));
        all.into_iter().map(|(_, told)| told).collect()
    }
}

fn what(asked: &Element) -> (String, Option<String>) {
    let child = asked.children().next().and_then(|pubsub| pubsub.children().next()).expect("a question");
    (child.name().to_owned(), child.attr("jid").map(str::to_owned))
}

const DONE: &str = "type='result'>";

fn items(inner: &str) -> String {
    format!("type='result'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{inner}</pubsub>")
}

fn all(entries: &[(&str, &str)]) -> Told {
    Told::All(entries.iter().map(|(id, reason)| (Box::from(*id), Box::from(*reason))).collect())
}

#[test]
fn a_list_is_subscribed_to_by_our_full_jid_read_and_then_kept_up_with() {
    let mut bench = Bench::following();
    let old = "<subscriptions><subscription node='bans' jid='keeper@meet.jitsi/old'/>\
               <subscription node='bans' jid='keeper@meet.jitsi/x'/><subscription node='bans' jid='other@b/c'/></subscriptions>";
    assert_eq!(what(&bench.list_says(&items(old))).0, "subscriptions");
    let left_behind = bench.list_says(DONE);
    assert_eq!(what(&left_behind), ("unsubscribe".to_owned(), Some("keeper@meet.jitsi/old".to_owned())));
    assert_eq!(what(&bench.list_says(DONE)), ("subscribe".to_owned(), Some(OWN.to_owned())));
    // What changes while it is being read counts, too.
    bench.pushed(LIST, "<items node='bans'><item id='new'/></items>");
    assert_eq!(what(&bench.list_says(&items("<items node='bans'><item id='a'/></items>"))).0, "items");
    let item = Item { id: "new".into(), reason: "".into() };
    assert_eq!(bench.told_of_lists(), [Told::Changed(Change::Published(item)), all(&[("a", ""), ("new", "")])]);
    bench.pushed(LIST, "<items node='bans'><retract id='a'/></items>");
    bench.pushed(LIST, "<purge node='bans'/>");
    bench.pushed(LIST, "<items node='other'><item id='b'/></items>");
    assert_eq!(bench.told_of_lists(), [Told::Changed(Change::Retracted("a".into())), Told::Changed(Change::Emptied)]);
    // Another one's word is not the list's.
    bench.pushed(STRANGER, "<items node='bans'><item id='b'/></items>");
    bench.pushed(&format!("{LIST}/x"), "<items node='bans'><item id='b'/></items>");
    assert_eq!(bench.told_of_lists(), []);
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut bench = Bench::following();
    bench.list_says(DONE);
    bench.list_says(DONE);
    let page = |id: &str| {
        items(&format!(
            "<items node='bans'><item id='{id}'/></items>\
             <set xmlns='http://jabber.org/protocol/rsm'><last>{id}</last><count>2</count></set>"
        ))
    };
    bench.list_says(&page("a"));
    assert_eq!(bench.told_of_lists(), []);
    let second = bench.list_says(&page("b"));
    assert!(String::from(&second).contains("<after>a</after>"), "{second:?}");
    assert_eq!(bench.told_of_lists(), [all(&[("a", ""), ("b", "")])]);
}

#[test]
fn a_list_that_can_not_be_had_is_said_and_asked_for_again() {
    let refused = "type='error'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let mut bench = Bench::following();
    bench.list_says(refused);
    bench.list_says(refused);
    let Told::Lost(why) = &bench.told_of_lists()[0] else { panic!("it is lost") };
    assert!(why.contains("forbidden"), "{why}");
    bench.pass(Duration::from_secs(299));
    assert!(!bench.sent().iter().any(|element| element.attr("to") == Some(LIST)));
    bench.pass(Duration::from_secs(1));
    assert_eq!(what(&bench.list_says(DONE)).0, "subscriptions");
}

#[test]
fn half_a_list_is_not_taken_for_the_whole() {
    let mut bench = Bench::following();
    bench.list_says(DONE);
    bench.list_says(DONE);
    let asked = bench.asked(LIST, "pubsub");
    let id = asked.attr("id").expect("an id");
    let text = format!("<iq xmlns='jabber:client' from='{LIST}' id='{id}' {}</iq>", items("<items node='bans'/>"));
    let head = crate::xml::Head {
        name: "iq".to_owned(),
        from: Some(LIST.to_owned()),
        type_: Some("result".to_owned()),
        id: Some(id.to_owned()),
    };
    bench.put(Input::Bad(Box::new(Bad { why: crate::xml::Why::TooManyNodes, head, rest: Some(xml(&text)) })));
    let told = bench.told_of_lists();
    assert!(matches!(&told[..], [Told::Lost(why)] if why.contains("stanza_limit")), "{told:?}");
}

#[test]
fn a_new_stream_subscribes_anew_and_a_resumed_one_does_not() {
    let mut bench = Bench::following();
    bench.list_says(DONE);
    bench.list_says(DONE);
    bench.list_says(&items("<items node='bans'/>"));
    let lost = || Input::Offline(Cause::new(Word::Disconnected, "lost"));
    bench.put(lost());
    bench.quiet();
    let handled = u32::try_from(bench.counted()).expect("few");
    bench.put(Input::Online(Bound { resumed: Some(handled), ..bound(true) }));
    assert!(!bench.sent().iter().any(|element| element.attr("to") == Some(LIST)));
    bench.put(lost());
    bench.put(Input::Online(bound(true)));
    assert_eq!(what(&bench.list_says(DONE)).0, "subscriptions");
    // Whoever follows no more says so.
    bench.put(Input::Follow(Vec::new()));
    let asked: Vec<String> =
        bench.sent().iter().filter(|one| one.attr("to") == Some(LIST)).map(|one| what(one).0).collect();
    assert_eq!(asked, ["subscribe", "unsubscribe"]);
}
