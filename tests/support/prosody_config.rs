//! The configuration that a [`Prosody`](super::prosody::Prosody) of the tests runs with.

use std::path::Path;

use super::prosody::{
    AUTH, AV_MODERATION, DOMAIN, END_CONFERENCE, FOCUS, FOCUS_SECRET, GUESTS, HIDDEN, LISTS, LOBBY, Login, METADATA,
    MUC, Options, Ports, ROOMS, lua_string,
};

/// The whole file, for a server whose data and logs are in `dir`.
pub fn text(options: &Options, ports: Ports, dir: &Path) -> String {
    let Options { limit, jitsi_modules, require_tls, smacks, hibernation, password_hash, log, .. } = options;
    let Ports { c2s, direct_tls, http, https, component, .. } = ports;
    let dir = dir.display();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prosody/modules");
    let modules = modules.display();
    let smacks = if *smacks { r#""smacks";"# } else { "" };
    let limits = if *limit { r#""limits";"# } else { "" };
    let seconds = options.rate_limit.unwrap_or(60);
    let rates = if options.rate_limit.is_some() { r#""jitsi_rate_limit";"# } else { "" };
    let reservations = if options.reservations.is_some() { r#""jitsi_reservations";"# } else { "" };
    let focus = if *jitsi_modules { r#"modules_enabled = { "jitsi_focus_absent" }"# } else { "" };
    let guests = if options.guests_resume { "jitsi_anonymous" } else { "anonymous" };
    let (login, muc, components) = (main_host(options, ports.spare), rooms(options), components(options));
    let (more, more_host) = (&options.more, &options.more_host);
    format!(
        r#"-- Written by tests/support/prosody_config.rs, after docker-jitsi-meet.
run_as_root = true
data_path = "{dir}/data"
pidfile = "{dir}/prosody.pid"
log = {{ {log} = "{dir}/prosody.log" }}
plugin_paths = {{ "{modules}" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {direct_tls} }}
http_interfaces = {{ "127.0.0.1" }}
https_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http} }}
https_ports = {{ {https} }}
component_ports = {{ {component} }}
component_interfaces = {{ "127.0.0.1" }}
component_conflict_resolve = "kick_old"
s2s_ports = {{ }}
modules_enabled = {{
	"roster"; "saslauth"; "tls"; "disco"; "ping"; "posix"; {limits} {rates} "ends_with_parent"; "jitsi_session";
}}
modules_disabled = {{ "s2s"; "offline"; }}
ssl = {{ certificate = "{dir}/server.pem"; key = "{dir}/server.key" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
consider_bosh_secure = true
cross_domain_websocket = true
http_default_host = "{DOMAIN}"
admins = {{ "focus@{AUTH}" }}
component_admins_as_room_owners = true
limits = {{ c2s = {{ rate = "10kb/s" }} }}
unlimited_jids = {{ "focus@{AUTH}" }}
smacks_max_unacked_stanzas = 5
smacks_hibernation_time = {hibernation}
smacks_max_old_sessions = 1
jitsi_rate_limit_seconds = {seconds}
password_hash = "{password_hash}"
disable_sasl_mechanisms = {{ "DIGEST-MD5", "OAUTHBEARER" }}
{more}

VirtualHost "{DOMAIN}"
{login}	modules_enabled = {{ "bosh"; "websocket"; {smacks} "jitsi_identities"; {reservations} }}
	c2s_require_encryption = {require_tls}
	{more_host}

VirtualHost "{GUESTS}"
	authentication = "{guests}"
	modules_enabled = {{ {smacks} }}

VirtualHost "{AUTH}"
	authentication = "internal_hashed"

VirtualHost "{HIDDEN}"
	authentication = "internal_hashed"
	modules_enabled = {{ {smacks} }}

Component "{MUC}" "muc"
	restrict_room_creation = true
	storage = "memory"
	muc_room_locking = false
	muc_room_default_public_jids = true
	muc_tombstones = false
	muc_room_allow_persistent = false
	muc_room_cache_size = 10000
{muc}
Component "{ROOMS}" "muc"
	storage = "memory"
	muc_room_locking = true
	muc_tombstones = false

Component "{FOCUS}"
	component_secret = "{FOCUS_SECRET}"
	{focus}

{components}"#
    )
}

/// How one logs in on the main domain, and what it says of the components.
fn main_host(options: &Options, spare: u16) -> String {
    let address = |(kind, address, _): (&str, &str, &str)| format!("{kind} = \"{address}\"; ");
    let addresses: String = beside(options).into_iter().map(address).collect();
    let reservations = options.reservations.as_ref().map(|url| {
        format!(
            "\tjitsi_reservations_url = {}\n\tjitsi_reservations_muc = \"{MUC}\"\n\tjitsi_reservations_check = 1\n\
             \tjitsi_reservations_cache = 2\n\tjitsi_reservations_retry = 1\n",
            lua_string(&url.replace("SPARE", &spare.to_string()))
        )
    });
    login(options) + &format!("\tjitsi_components = {{ {addresses}}}\n") + &reservations.unwrap_or_default()
}

fn login(options: &Options) -> String {
    match &options.login {
        Login::Accounts => "\tauthentication = \"internal_hashed\"\n".to_owned(),
        Login::Anonymous => "\tauthentication = \"jitsi_anonymous\"\n".to_owned(),
        Login::Token(tokens) => format!(
            "\tauthentication = \"jitsi_token\"\n\tjitsi_token_algorithm = {}\n\tjitsi_token_{} = {}\n\
             \tjitsi_token_issuers = {{ {} }}\n\tjitsi_token_audiences = {{ {} }}\n\tjitsi_token_allow_empty = {}\n",
            lua_string(tokens.algorithm),
            if tokens.algorithm == "RS256" { "modulus" } else { "secret" },
            lua_string(&tokens.secret),
            lua_string(tokens.issuer),
            lua_string(tokens.audience),
            tokens.allow_empty
        ),
    }
}

/// The modules of the group chat component for Jitsi rooms, and what they want to know.
fn rooms(options: &Options) -> String {
    let mut modules = options.muc_modules.clone();
    let mut lines = String::new();
    if options.jitsi_modules {
        modules.extend(["jitsi_nick_rule", "jitsi_kick_demotes", "jitsi_focus_lock", "jitsi_hide_all"]);
        modules.push("jitsi_meeting_id");
    }
    if matches!(options.login, Login::Token(_)) {
        modules.push("jitsi_token_verification");
        lines += &format!("\tjitsi_token_allow_domains = {{ \"{AUTH}\" }}\n");
    }
    if options.lobby {
        modules.push("jitsi_lobby");
        lines += &format!("\tjitsi_lobby_muc = \"{LOBBY}\"\n\tjitsi_lobby_whitelist = {{ \"{HIDDEN}\" }}\n");
    }
    if options.wait_for_host {
        modules.push("jitsi_wait_for_host");
        lines += &format!("\tjitsi_host_domain = \"{DOMAIN}\"\n");
    }
    if options.tenants {
        modules.push("jitsi_tenants");
        lines += &format!("\tjitsi_tenants_base = \"{DOMAIN}\"\n\tjitsi_tenants_internal = \"{AUTH}\"\n");
    }
    if let Some(most) = options.max_occupants {
        modules.push("jitsi_max_occupants");
        lines += &format!("\tjitsi_max_occupants = {most}\n");
    }
    let modules: String = modules.iter().map(|name| format!("\"{name}\"; ")).collect();
    format!("\tmodules_enabled = {{ {modules} }}\n{lines}")
}

/// The components beside the rooms: how each is found by disco#info of the main domain, where it is, what it runs.
fn beside(options: &Options) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut all = Vec::new();
    if options.lobby {
        all.push(("lobbyrooms", LOBBY, "muc"));
    }
    if options.components {
        all.push(("av_moderation", AV_MODERATION, "jitsi_av_moderation"));
        all.push(("end_conference", END_CONFERENCE, "jitsi_end_conference"));
        all.push(("room_metadata", METADATA, "jitsi_room_metadata"));
    }
    all
}

fn components(options: &Options) -> String {
    let component = |(_, address, module): (&str, &str, &str)| match module {
        "muc" => format!(
            "Component \"{address}\" \"muc\"\n\tstorage = \"memory\"\n\trestrict_room_creation = true\n\
             \tmuc_room_locking = false\n\tmuc_room_default_public_jids = true\n\tmuc_tombstones = false\n\
             \tmodules_enabled = {{ \"jitsi_lobby_rooms\" }}\n\n"
        ),
        module => format!("Component \"{address}\" \"{module}\"\n\tjitsi_muc = \"{MUC}\"\n\n"),
    };
    let lists = format!(
        "Component \"{LISTS}\" \"pubsub\"\n\tautocreate_on_publish = true\n\tadmins = {{ \"moderator@{DOMAIN}\" }}\n\n"
    );
    let lists = options.lists.then_some(lists);
    beside(options).into_iter().map(component).chain(lists).collect()
}
