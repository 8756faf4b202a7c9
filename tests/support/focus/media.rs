//! Jingle invitations and mutes (§5.3, §5.4, §6.4).

use std::fmt::Write as _;

use super::brain::{Brain, Question};
use super::seen::Seen;
use crate::support::prosody::AV_MODERATION;
use crate::support::xml::{Node, escape, resource};

impl Brain {
    /// §5.3: at two members everybody is invited, later each newcomer.
    pub(super) fn invite(&mut self, room: &str, newcomer: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.members.len() < 2 {
            return;
        }
        let none = !conference.members.values().any(|member| member.participant);
        let invited: Vec<String> = conference
            .members
            .iter_mut()
            .filter(|(nick, member)| member.known && !member.participant && (none || *nick == newcomer))
            .map(|(nick, member)| {
                member.participant = true;
                nick.clone()
            })
            .collect();
        for nick in invited {
            let sid = format!("sid{}", self.ids);
            let jingle = format!(
                "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' initiator='{}' sid='{sid}'>\
                 <bridge-session xmlns='http://jitsi.org/protocol/focus' id='{sid}'/></jingle>",
                escape(&format!("{room}/focus"))
            );
            if let Some(member) = self.conferences.get_mut(room).and_then(|found| found.members.get_mut(&nick)) {
                member.sid = sid;
            }
            self.note(room, Seen::Invited { nick: nick.clone() });
            let question = Question::Invite { room: room.to_owned(), nick: nick.clone() };
            self.ask(&format!("{room}/{nick}"), "set", &jingle, question);
        }
    }

    /// §6.6: when moderation of a medium is turned on, every participant but who did it is muted.
    pub(super) fn on_message(&mut self, node: &Node) {
        let json = node.child_ns("json-message", "http://jitsi.org/jitmeet").map(|json| json.text.as_str());
        let said: serde_json::Value = json.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if node.attr("from") != AV_MODERATION || said["enabled"] != true {
            return;
        }
        let word = |key: &str| said[key].as_str().unwrap_or_default();
        let (room, actor, medium) = (word("room"), word("actor"), word("mediaType"));
        let members = self.conferences.get(room).into_iter().flat_map(|conference| &conference.members);
        let participants = members.filter(|(_, member)| member.participant);
        let muted = participants.map(|(nick, _)| format!("{room}/{nick}")).filter(|jid| jid != actor);
        for jid in muted.collect::<Vec<_>>() {
            let mute = format!(
                "<mute xmlns='http://jitsi.org/jitmeet/{}' actor='{}'>true</mute>",
                escape(medium),
                escape(actor)
            );
            self.ask(&jid, "set", &mute, Question::Other);
        }
    }

    /// §6.13: the state of a recording, in the presence of the focus.
    pub(super) fn show_recording(&mut self, room: &str, status: &str) {
        let _ = write!(
            self.to_client,
            "<presence to='{0}/focus'><nick xmlns='http://jabber.org/protocol/nick'>focus</nick>\
             <jibri-recording-status xmlns='http://jitsi.org/protocol/jibri' status='{1}' recording_mode='file' \
             session_id='recording-1' initiator='{0}/focus'/></presence>",
            escape(room),
            escape(status)
        );
    }

    /// A member asks us something.
    pub(super) fn on_iq(&mut self, room: &str, nick: &str, node: &Node) {
        let (to, id) = (escape(node.attr("from")), escape(node.attr("id")));
        let reply = |kind: &str, payload: &str| format!("<iq to='{to}' id='{id}' type='{kind}'>{payload}</iq>");
        let error = |condition: &str| {
            let ns = "urn:ietf:params:xml:ns:xmpp-stanzas";
            reply("error", &format!("<error type='cancel'><{condition} xmlns='{ns}'/></error>"))
        };
        let conference = self.conferences.get(room);
        let participant =
            |nick: &str| conference.and_then(|found| found.members.get(nick)).is_some_and(|member| member.participant);
        let text = match node.children.first() {
            Some(jingle) if jingle.name == "jingle" => {
                self.note(room, Seen::Jingle { nick: nick.to_owned(), action: jingle.attr("action").to_owned() });
                reply("result", "")
            }
            Some(mute) if mute.name == "mute" => {
                let moderator = conference
                    .and_then(|found| found.members.get(nick))
                    .is_some_and(|member| member.role == "moderator");
                match (moderator, participant(nick) && participant(resource(mute.attr("jid")))) {
                    (false, _) => error("not-allowed"),
                    (true, false) => error("internal-server-error"),
                    (true, true) => {
                        let forward =
                            format!("<mute xmlns='{}' actor='{to}'>{}</mute>", escape(&mute.ns), escape(&mute.text));
                        let target = mute.attr("jid").to_owned();
                        self.ask(&target, "set", &forward, Question::Other);
                        reply("result", "")
                    }
                }
            }
            Some(query) if query.ns == "http://jabber.org/protocol/disco#info" => {
                let node = query.maybe("node").map(|node| format!(" node='{}'", escape(node))).unwrap_or_default();
                reply(
                    "result",
                    &format!(
                        "<query xmlns='http://jabber.org/protocol/disco#info'{node}>\
                         <identity category='component' type='focus' name='test focus'/></query>"
                    ),
                )
            }
            Some(ping) if ping.ns == "urn:xmpp:ping" => reply("result", ""),
            _ => error("service-unavailable"),
        };
        self.to_client.push_str(&text);
    }

    /// §5.7: the last participant's media session ends; the member stays.
    pub(super) fn expire_single(&mut self, room: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut left = conference.members.iter_mut().filter(|(_, member)| member.participant);
        let (Some((nick, member)), None) = (left.next(), left.next()) else { return };
        member.participant = false;
        let (to, sid) = (format!("{room}/{nick}"), member.sid.clone());
        let jingle = format!(
            "<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='{sid}'><reason><expired/></reason></jingle>"
        );
        self.ask(&to, "set", &jingle, Question::Other);
    }
}
