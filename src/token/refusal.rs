//! What a server means that refuses a token, and what to change. Pure.

use std::time::Duration;

/// Says what to do about a refusal, by the server's own words. `life`: the token was made a moment ago to live so long.
///
/// Source: jitsi-meet's `luajwtjitsi.lib.lua` `verify` and `token/util.lib.lua` `process_and_verify_token`; it looks at
/// type, algorithm, signature, times, issuer, audience, room and subject, in this order.
#[must_use]
pub fn explain(said: &str, life: Option<Duration>) -> String {
    if let Some(rest) = said.strip_prefix("Not acceptable by exp") {
        return expired(rest, life);
    }
    if said.starts_with("Not acceptable by nbf") {
        return "the token is not good yet: the server's clock is behind ours, for a token of our own by more than 30 s"
            .to_owned();
    }
    match said {
        "Invalid signature" => {
            "the secret is not the server's: compare it with app_secret in Prosody's configuration; a line end that is \
             part of the secret there is stripped here"
        }
        "token required" => "the server saw no token: does a proxy before it drop the query of the URL?",
        "Invalid or incorrect alg" => "set token_algorithm to the server's signature_algorithm",
        "invalid 'iss' claim" | "'iss' claim is missing" => {
            "set app_id (or token_issuer) to one of the server's asap_accepted_issuers, by default its app_id"
        }
        "invalid 'aud' claim" | "'aud' claim is missing" => {
            "set token_audience to one of the server's asap_accepted_audiences"
        }
        "room claim is missing" => "the token must claim a room, or * for all",
        "sub claim is missing" => "the token must claim a subject: the domain, a tenant, or *",
        "'kid' claim is missing" | "could not obtain public key" => {
            "the server fetches the public key by its name: set kid, and check its asap_key_server"
        }
        "'kid' claim only support with RS family" => "leave kid out, or use key_file instead of a secret",
        "signature verification key is missing" => "the server has no app_secret and no asap_key_server",
        "user is banned" => "the server bans this token's user",
        _ => "compare the token with the server's settings",
    }
    .to_owned()
}

/// `rest` may say `(120 sec since expired…)`.
fn expired(rest: &str, life: Option<Duration>) -> String {
    let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let ago = digits.parse::<u64>().ok().map(Duration::from_secs);
    match (life, ago) {
        (None, _) => "the token has expired: put a fresh one into its file".to_owned(),
        (Some(life), Some(ago)) => format!(
            "the token was made a moment ago, so the server's clock is about {} s ahead of ours: set both by NTP",
            life.saturating_add(ago).as_secs()
        ),
        (Some(life), None) => format!(
            "the token was made a moment ago, so the server's clock is more than {} s ahead of ours: set both by NTP",
            life.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_of_our_own_hints_at_the_clock_with_the_size_of_the_skew() {
        let life = Some(Duration::from_secs(300));
        let text = explain("Not acceptable by exp (120 sec since expired; ...)", life);
        assert!(text.contains("420 s ahead"), "{text}");
        assert!(explain("Not acceptable by exp", life).contains("more than 300 s"));
        assert!(explain("Not acceptable by exp (1 sec)", None).contains("fresh one"));
    }

    #[test]
    fn a_wrong_signature_says_what_to_compare() {
        let text = explain("Invalid signature", None);
        assert!(text.contains("app_secret") && text.contains("line end"), "{text}");
        assert!(!explain("something new", None).is_empty());
    }
}
