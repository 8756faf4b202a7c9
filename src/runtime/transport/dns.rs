//! SRV records. Addresses are looked up by the system's resolver, which knows `/etc/hosts`.
//!
//! Source: RFC 6120 §3.2.1 "Preferred Process: SRV Lookup", RFC 2782, XEP-0368 §3.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use super::{Candidate, Target};
use crate::cause::{Cause, Word};
use crate::config::HostPort;

/// Most records that are tried in turn.
const MOST: usize = 8;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Srv {
    priority: u16,
    weight: u16,
    candidate: Candidate,
}

/// What DNS says about the domain, in the order in which to try it.
pub(super) async fn candidates(target: &Target, direct: bool, starttls: bool) -> Result<Vec<Candidate>, Cause> {
    let domain = target.domain.as_str();
    let mut found = Vec::new();
    let mut none = 0;
    for (wanted, service, direct_tls) in [(direct, "_xmpps-client", true), (starttls, "_xmpp-client", false)] {
        if !wanted {
            continue;
        }
        // `None`: there is no such record. An error of the look-up is no answer either; RFC 6120 §3.2.1 says to go on
        // as if there were none, and if the domain does not resolve, that will be said.
        let records = lookup(target, &format!("{service}._tcp.{domain}."), direct_tls).await.unwrap_or_default();
        none += usize::from(records.iter().any(|record| record.candidate.at.host.is_empty()));
        found.extend(records.into_iter().filter(|record| !record.candidate.at.host.is_empty()));
    }
    if found.is_empty() {
        if none > 0 {
            let text = format!("DNS says that {domain} offers no such service (an SRV record with the target \".\")");
            return Err(Cause::new(Word::UnknownHost, text));
        }
        let (port, direct_tls) = if starttls { (5222, false) } else { (5223, true) };
        return Ok(vec![Candidate { at: HostPort { host: domain.to_owned(), port }, direct_tls }]);
    }
    let mut ordered = order(found, target.seed);
    // Each takes its own time to fail; a list without end would keep a login for ever.
    ordered.truncate(MOST);
    Ok(ordered)
}

/// The records of one name; a target of `.` comes as an empty host.
async fn lookup(target: &Target, name: &str, direct_tls: bool) -> Option<Vec<Srv>> {
    let builder = match target.nameserver {
        None => TokioResolver::builder_tokio().ok()?,
        Some(server) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let resolver = builder.build().ok()?;
    let answer = timeout(target.deadlines.dns, resolver.srv_lookup(name)).await.ok()?.ok()?;
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => {
            let host = srv.target.to_ascii();
            let at = HostPort { host: host.trim_end_matches('.').to_owned(), port: srv.port };
            Some(Srv { priority: srv.priority, weight: srv.weight, candidate: Candidate { at, direct_tls } })
        }
        _ => None,
    });
    Some(records.collect())
}

/// Sorts by priority, and draws by weight within one (RFC 2782 "Usage rules").
fn order(mut records: Vec<Srv>, seed: u64) -> Vec<Candidate> {
    let mut random = fastrand::Rng::with_seed(seed);
    // Weight 0 first, as the RFC wants it, so that it has a small chance and not none.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::new();
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.iter().take_while(|record| record.priority == priority).count();
        let total: u32 = records[..group].iter().map(|record| u32::from(record.weight)).sum();
        let draw = random.u32(0..=total);
        let mut sum = 0;
        let chosen = records[..group]
            .iter()
            .position(|record| {
                sum += u32::from(record.weight);
                sum >= draw
            })
            .unwrap_or(0);
        ordered.push(records.remove(chosen).candidate);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, host: &str) -> Srv {
        let at = HostPort { host: host.to_owned(), port: 5222 };
        Srv { priority, weight, candidate: Candidate { at, direct_tls: false } }
    }

    fn hosts(seed: u64) -> Vec<String> {
        let records = vec![srv(20, 0, "last"), srv(10, 30, "heavy"), srv(10, 10, "light"), srv(5, 0, "first")];
        order(records, seed).into_iter().map(|candidate| candidate.at.host).collect()
    }

    #[test]
    fn priorities_are_kept_and_weights_are_drawn() {
        let heavy = (0..1_000)
            .filter(|&seed| {
                let hosts = hosts(seed);
                assert_eq!((hosts.len(), hosts[0].as_str(), hosts[3].as_str()), (4, "first", "last"));
                hosts[1] == "heavy"
            })
            .count();
        assert!((680..820).contains(&heavy), "{heavy} of 1000");
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        assert_eq!(hosts(7), hosts(7));
    }
}
