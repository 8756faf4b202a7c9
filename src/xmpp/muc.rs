//! Rooms: what a room says of its occupants, and how one is joined and left. Pure.
//!
//! Source: XEP-0045 "Multi-User Chat".

use minidom::Element;

use super::build::element;
use super::ns;

/// A status code, kept as the number it is. Source: XEP-0045 §15.6 "Status Codes Registry".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// The presence is about ourselves.
    pub const SELF: Status = Status(110);
    /// The room was created by this join.
    pub const CREATED: Status = Status(201);
    /// Banned.
    pub const BANNED: Status = Status(301);
    /// The nick changed; the item names the new one.
    pub const RENAMED: Status = Status(303);
    /// Kicked.
    pub const KICKED: Status = Status(307);
    /// Removed because the affiliation changed.
    pub const AFFILIATION_LOST: Status = Status(321);
    /// Removed because the room became members-only.
    pub const MEMBERS_ONLY: Status = Status(322);
    /// Removed because the service is shutting down.
    pub const SHUTDOWN: Status = Status(332);
    /// Removed because of an error.
    pub const ERROR: Status = Status(333);
}

/// A role as the room wrote it. Source: XEP-0045 §5.1 "Roles".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// `moderator`
    Moderator,
    /// `participant`
    Participant,
    /// `visitor`
    Visitor,
    /// `none`
    None,
    /// Something else, kept as it is.
    Other(Box<str>),
}

impl Role {
    /// Reads the attribute.
    #[must_use]
    pub fn read(raw: &str) -> Self {
        match raw {
            "moderator" => Role::Moderator,
            "participant" => Role::Participant,
            "visitor" => Role::Visitor,
            "none" => Role::None,
            other => Role::Other(clip(other).into()),
        }
    }

    /// As the room wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Role::Moderator => "moderator",
            Role::Participant => "participant",
            Role::Visitor => "visitor",
            Role::None => "none",
            Role::Other(raw) => raw,
        }
    }
}

/// An affiliation as the room wrote it. Source: XEP-0045 §5.2 "Affiliations".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affiliation {
    /// `owner`
    Owner,
    /// `admin`
    Admin,
    /// `member`
    Member,
    /// `none`
    None,
    /// `outcast`
    Outcast,
    /// Something else, kept as it is.
    Other(Box<str>),
}

impl Affiliation {
    /// Reads the attribute.
    #[must_use]
    pub fn read(raw: &str) -> Self {
        match raw {
            "owner" => Affiliation::Owner,
            "admin" => Affiliation::Admin,
            "member" => Affiliation::Member,
            "none" => Affiliation::None,
            "outcast" => Affiliation::Outcast,
            other => Affiliation::Other(clip(other).into()),
        }
    }

    /// As the room wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Affiliation::Owner => "owner",
            Affiliation::Admin => "admin",
            Affiliation::Member => "member",
            Affiliation::None => "none",
            Affiliation::Outcast => "outcast",
            Affiliation::Other(raw) => raw,
        }
    }
}

/// Longest value of a stranger's that is kept, in bytes.
pub const CLIP: usize = 256;

/// `text` cut to [`CLIP`] bytes at a character.
#[must_use]
pub fn clip(text: &str) -> &str {
    if text.len() <= CLIP {
        return text;
    }
    let mut end = CLIP;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A presence from a room, read leniently: what is missing is `None`, what is unknown is kept or ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomPresence {
    /// `type`; `None` when available.
    pub type_: Option<String>,
    /// All status codes.
    pub statuses: Vec<Status>,
    /// The item's role.
    pub role: Option<Role>,
    /// The item's affiliation.
    pub affiliation: Option<Affiliation>,
    /// The item's real JID, where shown.
    pub real_jid: Option<String>,
    /// The item's new nick, on a nick change.
    pub new_nick: Option<String>,
    /// Who did it, on a kick, ban or change of role.
    pub actor: Option<String>,
    /// Why, as they wrote it.
    pub reason: Option<String>,
    /// The room was destroyed, with the reason given.
    pub destroyed: Option<String>,
    /// The display name (XEP-0172), the occupant's own choice.
    pub display_name: Option<String>,
    /// Made by the room out of the real bare JID (XEP-0421).
    pub occupant_id: Option<String>,
    /// `<stats-id/>`: kept by the browser, and copied by whoever wants to.
    pub stats_id: Option<String>,
    /// The user id in `<identity/>`: true only where jitsi-meet's `mod_presence_identity` writes it.
    pub token_user: Option<String>,
    /// What they say they are, where that is no browser: their own word.
    pub machine: Option<Machine>,
    /// What is recorded or streamed, as the focus says; from anybody else it means nothing.
    pub recordings: Vec<Recording>,
}

/// What an occupant is that names a feature of Jitsi's own machinery in its presence.
///
/// Source: Jicofo's `ChatRoomMemberImpl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// `jibri`: records or streams.
    Recorder,
    /// `jigasi`: a telephone gateway.
    Gateway,
    /// `transcriber`: writes down what is said.
    Transcriber,
}

/// `<jibri-recording-status/>`. Source: Jicofo; lib-jitsi-meet's `RecordingManager`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// `on`, `off` or `pending`.
    pub status: String,
    /// Tells this recording from others.
    pub session: Option<String>,
    /// `file`, `stream`, …
    pub mode: Option<String>,
    /// Who began it.
    pub initiator: Option<String>,
    /// Why it ended by itself.
    pub failure: Option<String>,
}

impl Recording {
    fn read(status: &Element) -> Self {
        let attr = |name: &str| status.attr(name).map(|value| clip(value).to_owned());
        Recording {
            status: attr("status").unwrap_or_default(),
            session: attr("session_id"),
            mode: attr("recording_mode"),
            initiator: attr("initiator"),
            failure: attr("failure_reason"),
        }
    }
}

/// Most recordings that are read of one presence.
const RECORDINGS: usize = 8;

impl RoomPresence {
    /// Reads a presence. Source: XEP-0045 §7.2.2 "Presence Broadcast".
    #[must_use]
    pub fn read(presence: &Element) -> Self {
        let mut read = RoomPresence { type_: presence.attr("type").map(str::to_owned), ..RoomPresence::default() };
        // A service takes away what an occupant put there and appends its own: the last one speaks, and alone.
        let mut user = None;
        for child in presence.children() {
            match (child.name(), child.ns().as_str()) {
                ("x", ns::MUC_USER) => user = Some(child),
                ("nick", ns::NICK) => read.display_name = Some(clip(&child.text()).to_owned()),
                ("occupant-id", ns::OCCUPANT_ID) => {
                    read.occupant_id = child.attr("id").map(|id| clip(id).to_owned());
                }
                ("stats-id", _) => read.stats_id = Some(clip(&child.text()).to_owned()),
                ("identity", _) => read.token_user = token_user(child),
                ("features", _) => read.machine = machine(child),
                ("jibri-recording-status", _) if read.recordings.len() < RECORDINGS => {
                    read.recordings.push(Recording::read(child));
                }
                _ => {}
            }
        }
        if let Some(user) = user {
            read.user(user);
        }
        read
    }

    fn user(&mut self, x: &Element) {
        for child in x.children() {
            match child.name() {
                "status" => {
                    if let Some(code) = child.attr("code").and_then(|code| code.parse().ok()) {
                        self.statuses.push(Status(code));
                    }
                }
                "item" => {
                    self.role = child.attr("role").map(Role::read).or(self.role.take());
                    self.affiliation = child.attr("affiliation").map(Affiliation::read).or(self.affiliation.take());
                    self.real_jid = child.attr("jid").map(|jid| clip_jid(jid).to_owned()).or(self.real_jid.take());
                    self.new_nick = child.attr("nick").map(str::to_owned).or(self.new_nick.take());
                    for detail in child.children() {
                        match detail.name() {
                            "actor" => {
                                self.actor = detail
                                    .attr("nick")
                                    .or_else(|| detail.attr("jid"))
                                    .map(|actor| clip(actor).to_owned())
                                    .or_else(|| Some(String::new()));
                            }
                            "reason" => self.reason = Some(clip(&detail.text()).to_owned()),
                            _ => {}
                        }
                    }
                }
                "destroy" => {
                    let reason = child.children().find(|c| c.name() == "reason").map(Element::text);
                    self.destroyed = Some(clip(&reason.unwrap_or_default()).to_owned());
                }
                _ => {}
            }
        }
    }

    /// Whether the status is there.
    #[must_use]
    pub fn has(&self, status: Status) -> bool {
        self.statuses.contains(&status)
    }
}

/// The user id in what jitsi-meet's `mod_presence_identity` writes: `<identity><user><id>…`.
fn token_user(identity: &Element) -> Option<String> {
    let user = identity.children().find(|child| child.name() == "user")?;
    let id = user.children().find(|child| child.name() == "id")?.text();
    (!id.is_empty()).then(|| clip(&id).to_owned())
}

fn machine(features: &Element) -> Option<Machine> {
    let mut named = features.children().filter_map(|feature| feature.attr("var"));
    named.find_map(|var| match var.strip_prefix("http://jitsi.org/protocol/")? {
        "jibri" => Some(Machine::Recorder),
        "jigasi" => Some(Machine::Gateway),
        "transcriber" => Some(Machine::Transcriber),
        _ => None,
    })
}

/// A JID may have 3,071 bytes (RFC 7622 §3.1 "Fundamentals"); longer is not one.
fn clip_jid(jid: &str) -> &str {
    if jid.len() <= 3071 { jid } else { clip(jid) }
}

/// What a join says of us.
#[derive(Debug, Clone, Copy)]
pub struct Join<'a> {
    /// The occupant JID we want: `room@muc.example/nick`.
    pub to: &'a str,
    /// Id of the presence, echoed in a refusal.
    pub id: &'a str,
    /// The room's password.
    pub password: Option<&'a str>,
    /// Our display name.
    pub display_name: &'a str,
    /// Our capabilities.
    pub caps: &'a Element,
}

/// The join presence, with no history wanted. Source: XEP-0045 §7.2 "Entering a Room"; Jitsi wants the display name
/// where a lobby is on.
#[must_use]
pub fn join(join: Join<'_>) -> Element {
    let history = element("history", ns::MUC).attr("maxstanzas", "0");
    let password = join.password.map(|secret| element("password", ns::MUC).text(secret).into());
    element("presence", ns::CLIENT)
        .attr("to", join.to)
        .attr("id", join.id)
        .child(element("x", ns::MUC).child(history).maybe_child(password))
        .child(join.caps.clone())
        .child(element("nick", ns::NICK).text(join.display_name))
        .into()
}

/// Our presence again, complete, without asking for the list of occupants: a new nick or display name.
///
/// Source: XEP-0045 §7.6 "Changing Nickname", §7.7 "Changing Availability Status".
#[must_use]
pub fn update(occupant: &str, display_name: &str, caps: &Element) -> Element {
    element("presence", ns::CLIENT)
        .attr("to", occupant)
        .child(caps.clone())
        .child(element("nick", ns::NICK).text(display_name))
        .into()
}

/// The presence that leaves a room. Source: XEP-0045 §7.14 "Exiting a Room".
#[must_use]
pub fn leave(occupant: &str) -> Element {
    element("presence", ns::CLIENT).attr("to", occupant).attr("type", "unavailable").into()
}

/// Asks for a new room's configuration form. Source: XEP-0045 §10.1.3 "Creating a Reserved Room".
#[must_use]
pub fn form_request(room: &str, id: &str) -> Element {
    super::stanza::iq("get", Some(room), id).child(element("query", ns::MUC_OWNER)).into()
}

/// Submits a room's configuration form with every default confirmed, so that a new room is unlocked.
///
/// `form` is the answer to [`form_request`]; fields are echoed with the values the room proposed, without labels and
/// options. Without a form in the answer an empty one is submitted, which is an instant room.
///
/// Source: XEP-0045 §10.1.2 "Creating an Instant Room", §10.1.3 "Creating a Reserved Room".
#[must_use]
pub fn form_submit(room: &str, id: &str, answer: &Element) -> Element {
    let mut x = element("x", ns::DATA).attr("type", "submit");
    let form = answer.get_child("query", ns::MUC_OWNER).and_then(|query| query.get_child("x", ns::DATA));
    for field in form.into_iter().flat_map(Element::children).filter(|child| child.name() == "field") {
        let (Some(var), kind) = (field.attr("var"), field.attr("type")) else { continue };
        if kind == Some("fixed") {
            continue;
        }
        let mut echo = element("field", ns::DATA).attr("var", var);
        for value in field.children().filter(|child| child.name() == "value") {
            echo = echo.child(element("value", ns::DATA).text(&value.text()));
        }
        x = x.child(echo);
    }
    super::stanza::iq("set", Some(room), id).child(element("query", ns::MUC_OWNER).child(x)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(inner: &str) -> RoomPresence {
        let text = format!("<presence xmlns='jabber:client' from='r@c/n'>{inner}</presence>");
        RoomPresence::read(&text.parse().expect("the test's own text"))
    }

    #[test]
    fn nonsense_beside_the_item_does_not_hide_it() {
        let read = presence(
            "<show>bogus</show><priority>300</priority>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='king' role='jester' jid='a@b/c'/>\
             <status code='999'/><status code='x'/><status/></x>",
        );
        assert_eq!(read.role, Some(Role::Other("jester".into())));
        assert_eq!(read.affiliation, Some(Affiliation::Other("king".into())));
        assert_eq!(read.real_jid.as_deref(), Some("a@b/c"));
        assert_eq!(read.statuses, [Status(999)]);
    }

    #[test]
    fn what_the_room_appends_beats_what_an_occupant_put_before() {
        let read = presence(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>",
        );
        assert_eq!((read.role, read.affiliation), (Some(Role::Participant), Some(Affiliation::None)));
        let read = presence(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='a@b/c' nick='n'><reason>r</reason></item>\
             <destroy/><status code='110'/><status code='307'/></x>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>",
        );
        assert_eq!(
            read,
            RoomPresence {
                role: Some(Role::Participant),
                affiliation: Some(Affiliation::None),
                ..RoomPresence::default()
            }
        );
    }

    #[test]
    fn a_kick_names_its_actor_and_reason() {
        let read = presence(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'>\
             <actor nick='fluellen'/><reason>Avaunt</reason></item><status code='110'/><status code='307'/></x>",
        );
        assert!(read.has(Status::KICKED) && read.has(Status::SELF));
        assert_eq!((read.actor.as_deref(), read.reason.as_deref()), (Some("fluellen"), Some("Avaunt")));
    }

    #[test]
    fn a_form_is_confirmed_field_by_field() {
        let answer: Element =
            "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
            <x xmlns='jabber:x:data' type='form'><title>t</title>\
            <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
            <field type='fixed'><value>Heading</value></field>\
            <field var='muc#roomconfig_whois' type='list-single'><option><value>anyone</value></option>\
            <value>moderators</value></field></x></query></iq>"
                .parse()
                .expect("the test's own text");
        let submit = form_submit("r@c", "1", &answer);
        let x = submit.get_child("query", ns::MUC_OWNER).and_then(|q| q.get_child("x", ns::DATA)).expect("a form");
        assert_eq!(x.attr("type"), Some("submit"));
        let fields: Vec<(String, String)> = x
            .children()
            .map(|f| {
                (
                    f.attr("var").unwrap_or_default().to_owned(),
                    f.text() + &f.children().map(Element::text).collect::<String>(),
                )
            })
            .collect();
        assert_eq!(
            fields,
            [
                ("FORM_TYPE".to_owned(), ns::MUC_ROOMCONFIG.to_owned()),
                ("muc#roomconfig_whois".to_owned(), "moderators".to_owned())
            ]
        );
    }
}
