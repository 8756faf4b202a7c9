//! TLS by rustls: whom to trust, and what its errors mean to an admin.
//!
//! Source: RFC 6120 §5 and §13.7 "Certificates", RFC 9266, XEP-0368, RFC 7301 (ALPN).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use sasl::common::scram::{ScramProvider, Sha256};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Io;
use crate::cause::{Cause, Word};
use crate::stream::Security;

/// Whom to trust: the platform's roots, and those of one file.
///
/// Roots are read at the first use and shared by all connections: a copy for each costs 150 KiB.
#[derive(Debug)]
pub struct Tls {
    ca_file: Option<PathBuf>,
    configs: OnceCell<Configs>,
}

/// One configuration for each protocol that may be named in ALPN; they share roots and verifier.
#[derive(Debug, Clone)]
struct Configs {
    plain: Arc<ClientConfig>,
    xmpp_client: Arc<ClientConfig>,
    http: Arc<ClientConfig>,
}

/// What is spoken inside TLS, as told to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpn {
    /// Nothing: after STARTTLS it is clear.
    None,
    /// Direct TLS (XEP-0368 §2).
    XmppClient,
    /// WebSocket. Never `h2`, where there is no upgrade.
    Http,
}

impl Tls {
    /// Trusts the platform's roots and those in `ca_file`, a PEM file.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Tls { ca_file, configs: OnceCell::new() }
    }

    async fn config(&self, alpn: Alpn) -> Result<Arc<ClientConfig>, Cause> {
        let configs = self
            .configs
            .get_or_try_init(|| async {
                let ca_file = self.ca_file.clone();
                let loaded = tokio::task::spawn_blocking(move || load(ca_file.as_deref())).await;
                loaded
                    .unwrap_or_else(|_| Err(Cause::new(Word::TlsFailed, "the trusted certificates could not be read")))
            })
            .await?;
        Ok(match alpn {
            Alpn::None => configs.plain.clone(),
            Alpn::XmppClient => configs.xmpp_client.clone(),
            Alpn::Http => configs.http.clone(),
        })
    }
}

fn load(ca_file: Option<&Path>) -> Result<Configs, Cause> {
    let mut roots = RootCertStore::empty();
    // A root that can not be read is one fewer to trust, never a reason to stop.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut pinned = Vec::new();
    if let Some(path) = ca_file {
        let refuse = |what: String| Cause::new(Word::TlsFailed, format!("ca_file {}: {what}", path.display()));
        let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate.clone()).map_err(|error| refuse(error.to_string()))?;
            pinned.push(certificate);
        }
        if pinned.is_empty() {
            return Err(refuse("no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(Cause::new(
            Word::TlsFailed,
            "this machine has no trusted certificates; install the package ca-certificates or set ca_file",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken = |error: String| Cause::new(Word::TlsFailed, format!("TLS can not be set up: {error}"));
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| broken(error.to_string()))?;
    let verifier = Arc::new(Verifier { inner, pinned });
    let config = |protocols: &[&[u8]]| configure(&provider, &verifier, protocols).map_err(|e| broken(e.to_string()));
    Ok(Configs { plain: config(&[])?, xmpp_client: config(&[b"xmpp-client"])?, http: config(&[b"http/1.1"])? })
}

fn configure(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        // It only adds to webpki's own verifier, see below.
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// webpki's verifier, which says in addition when a certificate is self-signed, and takes one that stands in `ca_file`
/// itself although it calls itself an authority, as `openssl req -x509` makes them.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

/// The certificate is signed by nobody but itself.
#[derive(Debug, thiserror::Error)]
#[error("self-signed certificate")]
struct SelfSigned;

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let error = match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        let Ok(parsed) = webpki::EndEntityCert::try_from(end_entity) else { return Err(error) };
        let calls_itself_authority = matches!(
            &error,
            Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
                if matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        );
        // webpki looks at the dates before it looks at this, so they are right.
        if calls_itself_authority && self.pinned.contains(end_entity) {
            return match parsed.verify_is_valid_for_subject_name(server_name) {
                Ok(()) => Ok(ServerCertVerified::assertion()),
                Err(_) => Err(CertificateError::NotValidForNameContext {
                    expected: server_name.to_owned(),
                    presented: parsed.valid_dns_names().map(str::to_owned).collect(),
                }
                .into()),
            };
        }
        let untrusted = calls_itself_authority
            || matches!(
                error,
                Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
            );
        if untrusted && parsed.issuer() == parsed.subject() {
            return Err(CertificateError::Other(OtherError(Arc::new(SelfSigned))).into());
        }
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Protects a connection on which HTTP/1.1 will be spoken; the certificate must be for `name`. `at` is host and port, for
/// errors.
pub(crate) async fn secure(
    tls: Arc<Tls>,
    name: &str,
    at: &str,
    deadline: Duration,
    io: Box<dyn Io>,
) -> Result<Box<dyn Io>, Cause> {
    let upgrade = Upgrade { tls, name: name.to_owned(), at: at.to_owned(), deadline };
    Ok(upgrade.run(io, Alpn::Http, false).await?.0)
}

/// How to upgrade one connection.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) tls: Arc<Tls>,
    /// What the certificate must be for.
    pub(super) name: String,
    /// Host and port, for errors.
    pub(super) at: String,
    pub(super) deadline: Duration,
}

impl Upgrade {
    /// Does the TLS handshake.
    pub(super) async fn run(
        &self,
        io: Box<dyn Io>,
        alpn: Alpn,
        loopback: bool,
    ) -> Result<(Box<dyn Io>, Security), Cause> {
        let config = self.tls.config(alpn).await?;
        let name = ServerName::try_from(self.name.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Cause::new(Word::CertificateName, format!("{} can not stand in a certificate", self.name)))?;
        let handshake = TlsConnector::from(config).connect(name, io);
        match timeout(self.deadline, Box::pin(handshake)).await {
            Ok(Ok(stream)) => {
                let security = security(&stream, loopback);
                Ok((Box::new(stream), security))
            }
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => Err(Cause::new(
                Word::TimedOut,
                format!("{} did not finish the TLS handshake within {:?}", self.at, self.deadline),
            )),
        }
    }

    /// What went wrong, in words that an admin can act on.
    fn explain(&self, error: &std::io::Error) -> Cause {
        let Upgrade { at, name, .. } = self;
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return match error.kind() {
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Cause::new(
                    Word::TlsFailed,
                    format!("{at} closed the connection during the TLS handshake; does that port speak TLS?"),
                ),
                _ => Cause::new(Word::TlsFailed, format!("TLS with {at} failed: {error}")),
            };
        };
        match error {
            Error::InvalidCertificate(certificate) => self.explain_certificate(certificate),
            Error::InvalidMessage(_) => Cause::new(
                Word::TlsFailed,
                format!("{at} does not speak TLS; it may be the port for plain `xmpp:` or `ws:`"),
            ),
            Error::AlertReceived(alert) => Cause::new(Word::TlsFailed, format!("{at} refuses TLS with us: {alert:?}")),
            other => Cause::new(Word::TlsFailed, format!("TLS with {at} for {name} failed: {other}")),
        }
    }

    fn explain_certificate(&self, error: &CertificateError) -> Cause {
        use CertificateError::{
            BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, Other, UnknownIssuer,
        };
        let Upgrade { at, name, .. } = self;
        let (word, text) = match error {
            ExpiredContext { not_after, .. } => {
                (Word::CertificateExpired, format!("the certificate of {at} expired on {}", date(*not_after)))
            }
            Expired => (Word::CertificateExpired, format!("the certificate of {at} has expired")),
            NotValidYetContext { not_before, .. } => (
                Word::CertificateExpired,
                format!(
                    "the certificate of {at} is valid from {} only; is this machine's clock right?",
                    date(*not_before)
                ),
            ),
            NotValidYet => (Word::CertificateExpired, format!("the certificate of {at} is not valid yet")),
            NotValidForNameContext { presented, .. } => {
                let mut names: Vec<_> = presented.iter().take(5).map(String::as_str).collect();
                if names.is_empty() {
                    names.push("no name at all");
                }
                let names = names.join(", ");
                (Word::CertificateName, format!("the certificate of {at} is for {names}, not for {name}"))
            }
            NotValidForName => (Word::CertificateName, format!("the certificate of {at} is not for {name}")),
            Other(OtherError(other)) if other.is::<SelfSigned>() => (
                Word::CertificateUntrusted,
                format!("the certificate of {at} is self-signed; if it is the right one, name it in ca_file"),
            ),
            // A wrong signature is that of another authority with the same name, such as one that was made anew.
            UnknownIssuer | BadSignature => (
                Word::CertificateUntrusted,
                format!("the certificate of {at} is signed by an authority that this machine does not trust"),
            ),
            other => (Word::CertificateUntrusted, format!("the certificate of {at} is not acceptable: {other}")),
        };
        Cause::new(word, text)
    }
}

fn date(time: UnixTime) -> String {
    let second = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second)
        .map_or_else(|_| "a date beyond counting".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn security(stream: &TlsStream<Box<dyn Io>>, loopback: bool) -> Security {
    let (_, connection) = stream.get_ref();
    // On TLS 1.2 the exporter binds only with extended master secrets, and RFC 9266 is about TLS 1.3.
    let exporter = (connection.protocol_version() == Some(ProtocolVersion::TLSv1_3))
        .then(|| connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok())
        .flatten();
    let key_hash = connection.peer_certificates().and_then(|chain| {
        let certificate = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
        Sha256::hash(&certificate.subject_public_key_info()).try_into().ok()
    });
    Security { tls: true, loopback, exporter, key_hash }
}
