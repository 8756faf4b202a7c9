//! How the account gets in, as it was written and as it is meant. Pure.

use std::path::PathBuf;

use super::check::{Checker, View, absolute, quoted};
use super::raw::Value;
use super::{Content, Endpoint, Login, Secret, problem, value};

/// The kinds of login that `login` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Direct,
    Guest,
    Token,
    Anonymous,
}

/// Their names, the default first.
const KINDS: &[(&str, Kind)] =
    &[("direct", Kind::Direct), ("guest", Kind::Guest), ("token", Kind::Token), ("anonymous", Kind::Anonymous)];

/// Keys that belong to certain kinds of login.
const KEYS: &[(&str, &[Kind])] = &[
    ("account", &[Kind::Direct, Kind::Guest]),
    ("password_file", &[Kind::Direct, Kind::Guest]),
    ("credential", &[Kind::Direct, Kind::Guest]),
    ("password", &[Kind::Direct, Kind::Guest]),
    ("guest_domain", &[Kind::Guest]),
    ("guest_account", &[Kind::Guest]),
    ("guest_password_file", &[Kind::Guest]),
    ("guest_credential", &[Kind::Guest]),
    ("guest_password", &[Kind::Guest]),
    ("mechanisms", &[Kind::Direct, Kind::Guest, Kind::Anonymous]),
    ("token_file", &[Kind::Token]),
    ("token_credential", &[Kind::Token]),
    ("app_id", &[Kind::Token]),
    ("secret", &[Kind::Token]),
    ("secret_file", &[Kind::Token]),
    ("secret_credential", &[Kind::Token]),
    ("key_file", &[Kind::Token]),
    ("kid", &[Kind::Token]),
    ("token_algorithm", &[Kind::Token]),
    ("token_audience", &[Kind::Token]),
    ("token_issuer", &[Kind::Token]),
    ("token_subject", &[Kind::Token]),
    ("token_room", &[Kind::Token]),
    ("token_life", &[Kind::Token]),
];

/// Where a secret may come from: a key that only the environment holds, a file, a systemd credential.
pub(super) struct Sources {
    pub(super) variable: &'static str,
    pub(super) file: &'static str,
    pub(super) credential: &'static str,
    /// What is wrong when there is none.
    pub(super) missing: &'static str,
}

const PASSWORD: Sources = Sources {
    variable: "password",
    file: "password_file",
    credential: "credential",
    missing: "the account has no password",
};

const GUEST_PASSWORD: Sources = Sources {
    variable: "guest_password",
    file: "guest_password_file",
    credential: "guest_credential",
    missing: "the guest account has no password",
};

impl Checker<'_> {
    /// How the account gets in; `domain` is the service's, `focus` whether it has one.
    pub(super) fn login(
        &mut self,
        view: View<'_>,
        domain: Option<&str>,
        focus: bool,
        endpoint: &Endpoint,
    ) -> Option<Login> {
        let kind = match self.string(view, "login") {
            None if view.entry("login").is_some() => return None,
            None => Kind::Direct,
            Some((name, at)) => match KINDS.iter().find(|(known, _)| *known == name) {
                Some((_, Kind::Guest)) if !focus => {
                    let what = "a guest is made moderator by the focus, and there is none";
                    self.wrong(view, "login", at, what, "\"direct\" or \"anonymous\", or a focus");
                    return None;
                }
                Some((_, kind)) => *kind,
                None => {
                    let all = problem::choices(KINDS.iter().map(|(name, _)| *name));
                    self.wrong(view, "login", at, format!("{} is unknown", quoted(name)), all);
                    return None;
                }
            },
        };
        self.refuse_keys_of_others(view, kind);
        match kind {
            Kind::Direct => {
                let account = self.account(view, domain);
                let password = self.password(view, &PASSWORD);
                Some(Login::Direct { account: account?, password: password? })
            }
            Kind::Guest => self.guest(view, domain),
            Kind::Token => self.token(view, domain, endpoint).map(|token| Login::Token(Box::new(token))),
            Kind::Anonymous => Some(Login::Anonymous),
        }
    }

    fn refuse_keys_of_others(&mut self, view: View<'_>, kind: Kind) {
        for (key, kinds) in KEYS {
            let Some(entry) = view.entry(key).filter(|_| !kinds.contains(&kind)) else { continue };
            let name = |kind: &Kind| KINDS.iter().find(|(_, known)| known == kind).map_or("", |(name, _)| name);
            let fitting: Vec<_> = kinds.iter().map(|kind| format!("login = \"{}\"", name(kind))).collect();
            let what = format!("of no use with login = \"{}\"", name(&kind));
            self.wrong(view, key, &entry.at, what, format!("{}, or it to be left out", fitting.join(" or ")));
        }
    }

    fn guest(&mut self, view: View<'_>, domain: Option<&str>) -> Option<Login> {
        let account = self.account(view, domain);
        let password = self.password(view, &PASSWORD);
        let guest_domain = self.parsed(view, "guest_domain", "a domain such as \"guest.meet.jitsi\"", value::domain);
        if view.entry("guest_domain").is_none() && !self.incomplete {
            let expected = "the domain where guests log in, such as \"guest.meet.jitsi\"";
            self.wrong(view, "guest_domain", &view.section.at, "missing", expected);
        }
        if let (Some(guest), Some(domain), Some(entry)) = (&guest_domain, domain, view.entry("guest_domain"))
            && guest == domain
        {
            let expected = "the domain of guests, or login = \"direct\"";
            self.wrong(view, "guest_domain", &entry.at, "the same as domain", expected);
        }
        let guest = if view.entry("guest_account").is_some() {
            let name = self.local(view, "guest_account", guest_domain.as_deref());
            let password = self.password(view, &GUEST_PASSWORD);
            Some((name?, password?))
        } else {
            for key in ["guest_password_file", "guest_credential", "guest_password"] {
                if let Some(entry) = view.entry(key) {
                    self.wrong(view, key, &entry.at, "a password without an account", "guest_account beside it");
                }
            }
            None
        };
        Some(Login::Guest { domain: guest_domain?, account: account?, password: password?, guest })
    }

    fn account(&mut self, view: View<'_>, domain: Option<&str>) -> Option<String> {
        if view.entry("account").is_none() && !self.incomplete {
            let expected = "the local part of the account's JID, or login = \"anonymous\"";
            self.wrong(view, "account", &view.section.at, "missing", expected);
        }
        self.local(view, "account", domain)
    }

    /// An account's name, given as its local part or as its JID.
    fn local(&mut self, view: View<'_>, key: &str, domain: Option<&str>) -> Option<String> {
        self.parsed(view, key, "a local part such as \"innkeeper\"", |text| match text.split_once('@') {
            None => value::local(text),
            Some((node, host)) if domain.is_none_or(|domain| value::domain(host).is_ok_and(|host| host == domain)) => {
                value::local(node)
            }
            Some(_) => Err("of another domain than the service".to_owned()),
        })
    }

    /// A password, out of exactly one of three sources; the environment wins over the files.
    pub(super) fn password(&mut self, view: View<'_>, sources: &Sources) -> Option<Secret> {
        if let Some(entry) = view.entry(sources.variable) {
            let Value::String(text) = &entry.value else { return None };
            let bytes = text.clone().into_bytes();
            return match value::secret(Content { bytes, others_may_read: false }, value::PASSWORD_BYTES) {
                Ok((secret, stripped)) => {
                    if stripped {
                        let place = self.reporter.place(&entry.at);
                        self.warnings.push(format!("{place}: the line end is not part of the password"));
                    }
                    Some(Secret::new(secret))
                }
                Err(what) => {
                    let what = what.replace("the file", "the variable");
                    self.wrong(view, sources.variable, &entry.at, what, "one line with the password");
                    None
                }
            };
        }
        match (view.entry(sources.file), view.entry(sources.credential)) {
            (Some(_), Some(credential)) => {
                let what = format!("both {} and {}", sources.file, sources.credential);
                self.wrong(view, sources.credential, &credential.at, what, "one of them");
                None
            }
            (Some(_), None) => self.secret_file(view, sources.file),
            (None, Some(_)) => self.credential(view, sources.credential, sources.file),
            (None, None) => {
                if !self.incomplete {
                    let expected = format!("{} or {}", sources.file, sources.credential);
                    self.wrong(view, sources.file, &view.section.at, sources.missing, expected);
                }
                None
            }
        }
    }

    pub(super) fn secret_file(&mut self, view: View<'_>, key: &str) -> Option<Secret> {
        let (text, at) = self.string(view, key)?;
        if text.is_empty() {
            self.wrong(view, key, at, "empty", "a path");
            return None;
        }
        self.secret(view, key, at, &absolute(&self.input.base, text))
    }

    /// A systemd credential; `file` is the key that names a file instead.
    fn credential(&mut self, view: View<'_>, key: &str, file: &str) -> Option<Secret> {
        let at = &view.entry(key)?.at;
        match self.credential_path(view, key, file)? {
            Some(path) => self.secret(view, key, at, &path),
            None => Some(Secret::new("")),
        }
    }

    /// Where a systemd credential lies; `Some(None)` where it is not there and need not be (`innkeeper check`).
    pub(super) fn credential_path(&mut self, view: View<'_>, key: &str, file: &str) -> Option<Option<PathBuf>> {
        let (name, at) = self.string(view, key)?;
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            let what = format!("{} is no credential", quoted(name));
            self.wrong(view, key, at, what, "the ID of LoadCredential=");
            return None;
        }
        if let Some(folder) = self.variable("CREDENTIALS_DIRECTORY") {
            return Some(Some(PathBuf::from(folder).join(name)));
        }
        if self.input.offline {
            let place = self.reporter.place(at);
            let why = "systemd gives it to the service only";
            self.warnings.push(format!("{place}: credential {} was not looked at: {why}", quoted(name)));
            return Some(None);
        }
        let what = format!("no credential {} because $CREDENTIALS_DIRECTORY is not set", quoted(name));
        self.wrong(view, key, at, what, format!("a start by systemd with LoadCredential=, or {file}"));
        None
    }
}
