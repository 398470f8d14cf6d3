//! TLS: the server's certificate with its key, and whose certificates clients must show. All may be replaced while the
//! server runs; a connection keeps what it began with.

use std::{fmt, io, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    CertificateError, Error, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use sha2::{Digest as _, Sha256};
use staticreg_domain::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// HTTP/2 in ALPN (RFC 9113, 3.2).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What TLS is made of, each the text of a PEM file.
pub struct TlsFiles {
    /// The server's certificate, and behind it those between it and the authority.
    pub certificate: String,
    /// The certificate's private key.
    pub key: String,
    /// The authorities of which clients must show a certificate.
    pub client_ca: Option<String>,
}

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The server's certificate.
    Certificate,
    /// Its key.
    Key,
    /// The authorities of clients.
    ClientCa,
}

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidTls {
    /// The file.
    pub file: TlsFile,
    /// As in "the file `server.crt` ...".
    pub reason: String,
}

impl InvalidTls {
    fn new(file: TlsFile, reason: impl Into<String>) -> Self {
        Self { file, reason: reason.into() }
    }
}

/// TLS as it is now; all clones change together.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
    asks_clients: bool,
}

struct Shared {
    current: RwLock<Current>,
    clock: Arc<dyn Clock>,
}

struct Current {
    /// Of the files it was made of.
    hash: [u8; 32],
    /// What asks clients for a certificate, when there are authorities.
    asking: Arc<ServerConfig>,
    /// The same, but it asks for none.
    trusting: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("asks_clients", &self.asks_clients).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS as the files have it.
    pub fn new(files: &TlsFiles, clock: Arc<dyn Clock>) -> Result<Self, InvalidTls> {
        let current = RwLock::new(Current::new(files, &*clock)?);
        Ok(Self { shared: Arc::new(Shared { current, clock }), asks_clients: true })
    }

    /// The same, but clients need no certificate: registries have none to show.
    #[must_use]
    pub fn without_client_certificates(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), asks_clients: false }
    }

    /// Takes these files in place of those before; whether they are others. What cannot be used changes nothing.
    pub fn replace(&self, files: &TlsFiles) -> Result<bool, InvalidTls> {
        if self.shared.current.read().hash == hash(files) {
            return Ok(false);
        }
        let current = Current::new(files, &*self.shared.clock)?;
        *self.shared.current.write() = current;
        Ok(true)
    }

    /// Shakes hands with a client, for a few seconds at most.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> io::Result<TlsStream<S>> {
        let config = {
            let current = self.shared.current.read();
            Arc::clone(if self.asks_clients { &current.asking } else { &current.trusting })
        };
        timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(socket)).await?
    }
}

impl Current {
    fn new(files: &TlsFiles, clock: &dyn Clock) -> Result<Self, InvalidTls> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&files.certificate, TlsFile::Certificate)?;
        let key = Arc::new(SingleCertAndKey::from(certified(&chain, &files.key, &provider)?));
        let verifier = files.client_ca.as_deref().map(|text| client_verifier(text, &provider)).transpose()?;
        let config = |verifier: Option<Arc<dyn ClientCertVerifier>>| {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring speaks TLS 1.2 and 1.3");
            let builder = match verifier {
                Some(verifier) => builder.with_client_cert_verifier(verifier),
                None => builder.with_no_client_auth(),
            };
            let mut config = builder.with_cert_resolver(Arc::clone(&key) as Arc<_>);
            config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
            Arc::new(config)
        };
        let current = Self { hash: hash(files), asking: config(verifier), trusting: config(None) };
        // Told once: what cannot be used is looked at again and again.
        if let Some(fault) = time_fault_of(&chain, clock, &provider) {
            tracing::warn!("{fault}");
        }
        Ok(current)
    }
}

/// Tells files from others without keeping the key once more.
fn hash(files: &TlsFiles) -> [u8; 32] {
    let TlsFiles { certificate, key, client_ca } = files;
    let mut hash = Sha256::new();
    for text in [Some(certificate), Some(key), client_ca.as_ref()].into_iter().flatten() {
        hash.update(Sha256::digest(text));
    }
    hash.finalize().into()
}

fn certificates(text: &str, file: TlsFile) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    // What is wrong is not quoted: it may be a key.
    let chain = chain.map_err(|_| InvalidTls::new(file, "is damaged: it is no PEM (RFC 7468)"))?;
    if chain.is_empty() {
        return Err(InvalidTls::new(file, "holds no certificate in PEM, which begins `-----BEGIN CERTIFICATE-----`"));
    }
    Ok(chain)
}

/// What takes the certificates of clients that these authorities signed.
fn client_verifier(text: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, InvalidTls> {
    let unusable = |error: &dyn fmt::Display| {
        InvalidTls::new(TlsFile::ClientCa, format!("holds a certificate that cannot be used: {error}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text, TlsFile::ClientCa)? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    verifier.build().map_err(|error| unusable(&error))
}

/// A certificate with its key.
fn certified(
    chain: &[CertificateDer<'static>],
    key: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, InvalidTls> {
    let of_key = |reason: &str| InvalidTls::new(TlsFile::Key, reason);
    if key.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || key.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(of_key("is encrypted; decrypt it first with `openssl pkey -in ENCRYPTED -out KEY`"));
    }
    let der = match PrivateKeyDer::from_pem_slice(key.as_bytes()) {
        Ok(der) => der,
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            return Err(of_key("holds no private key in PEM, which begins `-----BEGIN PRIVATE KEY-----`"));
        }
        Err(_) => return Err(of_key("is damaged: it is no PEM (RFC 7468)")),
    };
    let signing = provider.key_provider.load_private_key(der).map_err(|_| {
        of_key("holds a private key that cannot be used; take one of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519")
    })?;
    let fits = |chain: &[CertificateDer<'static>]| {
        let certified = CertifiedKey::new(chain.to_vec(), Arc::clone(&signing));
        match certified.keys_match() {
            // A key of a kind that cannot tell.
            Ok(()) | Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(error) => Err(error),
        }
    };
    match fits(chain) {
        Ok(certified) => Ok(certified),
        Err(Error::InconsistentKeys(_))
            if chain.iter().skip(1).any(|other| fits(std::slice::from_ref(other)).is_ok()) =>
        {
            let reason = "is in the wrong order: the server's own certificate comes first, then those that signed it";
            Err(InvalidTls::new(TlsFile::Certificate, reason))
        }
        Err(Error::InconsistentKeys(_)) => Err(of_key("does not match the certificate: it is the key of another")),
        Err(error) => {
            Err(InvalidTls::new(TlsFile::Certificate, format!("holds a certificate that cannot be used: {error}")))
        }
    }
}

/// Why clients will refuse the first certificate of a PEM file for its time, if they will. It is used all the same: some
/// clients take it.
#[must_use]
pub fn time_fault(certificate: &str, clock: &dyn Clock) -> Option<&'static str> {
    let chain = certificates(certificate, TlsFile::Certificate).ok()?;
    time_fault_of(&chain, clock, &Arc::new(ring::default_provider()))
}

fn time_fault_of(
    chain: &[CertificateDer<'static>],
    clock: &dyn Clock,
    provider: &Arc<CryptoProvider>,
) -> Option<&'static str> {
    let now = Duration::from_secs(clock.now().timestamp().try_into().unwrap_or_default());
    match invalid_time(chain, UnixTime::since_unix_epoch(now), provider)? {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("The TLS certificate has expired, so clients refuse it. Put a new one in its place.")
        }
        _ => Some("The TLS certificate is not valid yet, so clients refuse it. Is the clock right?"),
    }
}

/// Whether a certificate is outside its time. That is the first thing the check of a path looks at, so it is told
/// whoever signed it.
fn invalid_time(
    chain: &[CertificateDer<'static>],
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Option<CertificateError> {
    let (own, others) = chain.split_first()?;
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok()?;
    let any_name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(own, others, &any_name, &[], now).err()? {
        Error::InvalidCertificate(
            error @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }),
        ) => Some(error),
        _ => None,
    }
}
