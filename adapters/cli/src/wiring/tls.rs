//! TLS of the connections that come in: its files, which may change while the server runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use staticreg_domain::Clock;
use staticreg_http::server::{InvalidTls, Tls, TlsFile, TlsFiles};

use super::watch::{Found, Watch, refuse_irregular};
use crate::{
    lifecycle::Lifecycle,
    settings::{Settings, Unusable, text_of_file},
};

/// The longest file, in KiB: it may hold all authorities there are.
const MAX_KIB: u64 = 1024;

/// TLS as it is configured, if it is.
pub(super) fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> Result<Option<Tls>, Unusable> {
    let http = &settings.http;
    let (Some(certificate), Some(key)) = (http.tls_cert.clone(), http.tls_key.clone()) else { return Ok(None) };
    let paths = Paths { certificate, key, client_ca: http.tls_client_ca.clone() };
    let unusable = |error: InvalidTls| Unusable::new(setting(error.file), paths.words(&error));
    let tls = Tls::new(&paths.read().map_err(unusable)?, Arc::clone(clock)).map_err(unusable)?;
    if http.tls_client_ca.is_some() && settings.webhook.bind_addr.is_none() {
        tracing::warn!(
            "Who posts to the webhook must show a TLS certificate, which registries cannot. STATICREG_WEBHOOK_BIND_ADDR \
             gives them a listener that asks for none."
        );
    }
    let same = tls.clone();
    let name = format!("The TLS certificate of {} with its key", paths.certificate.display());
    let watch = Watch::new(name, move || {
        let replaced = paths.read().and_then(|files| same.replace(&files));
        let is_other = replaced.map_err(|error| paths.words(&error))?;
        Ok(if is_other { Found::Other(None) } else { Found::Same })
    });
    lifecycle.spawn_background("looks at the TLS files", watch.run());
    Ok(Some(tls))
}

/// Where the files are.
struct Paths {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Paths {
    fn read(&self) -> Result<TlsFiles, InvalidTls> {
        let read = |path: &Path, file| {
            let unreadable = |error| InvalidTls { file, reason: format!("cannot be read: {error}") };
            text_of_regular_file(path).map_err(unreadable)
        };
        Ok(TlsFiles {
            certificate: read(&self.certificate, TlsFile::Certificate)?,
            key: read(&self.key, TlsFile::Key)?,
            client_ca: self.client_ca.as_deref().map(|path| read(path, TlsFile::ClientCa)).transpose()?,
        })
    }

    fn words(&self, error: &InvalidTls) -> String {
        let InvalidTls { file, reason } = error;
        let path = match file {
            TlsFile::Certificate => &self.certificate,
            TlsFile::Key => &self.key,
            TlsFile::ClientCa => self.client_ca.as_ref().unwrap_or(&self.certificate),
        };
        format!("the file {} {reason}", path.display())
    }
}

fn setting(file: TlsFile) -> &'static str {
    match file {
        TlsFile::Certificate => "http.tls_cert",
        TlsFile::Key => "http.tls_key",
        TlsFile::ClientCa => "http.tls_client_ca",
    }
}

fn text_of_regular_file(path: &Path) -> io::Result<String> {
    refuse_irregular(path)?;
    text_of_file(path, MAX_KIB).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            io::Error::other("it is no text, as PEM is; `openssl x509` and `openssl pkey` convert")
        }
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_regular_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = text_of_regular_file(path).expect_err("it is none").to_string();
            assert_eq!(error, "it is no regular file", "{}", path.display());
        }
        let regular = folder.path().join("regular");
        fs::write(&regular, "text").expect("written");
        assert_eq!(text_of_regular_file(&regular).expect("it is one"), "text");
    }
}
