//! TLS.

use std::{net::SocketAddr, sync::Arc};

use staticreg_domain::catalog::{CatalogError, RegistryCatalog};
use staticreg_registry::{HttpRegistryCatalog, RegistryOptions, Tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::{kind, name, options};

/// A registry with one repository, behind a certificate nobody knows. It ends with the test's runtime.
async fn registry_with_own_certificate() -> SocketAddr {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake: nothing to answer then.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                let body = r#"{"repositories": ["a"]}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_nobody_knows_is_taken_only_when_told_so() {
    let address = registry_with_own_certificate().await;
    let strict = RegistryOptions { tls: Tls::On, ..options(&format!("localhost:{}", address.port())) };
    let catalog = HttpRegistryCatalog::new(&strict).unwrap();
    assert_eq!(kind(catalog.repositories(None).await), "unavailable");
    let catalog = HttpRegistryCatalog::new(&RegistryOptions { skip_tls_verify: true, ..strict }).unwrap();
    assert_eq!(catalog.repositories(None).await.unwrap().repositories, [name("a")]);
}

#[tokio::test]
async fn plain_http_is_not_spoken_where_tls_was_chosen() {
    let server = wiremock::MockServer::start().await;
    let catalog = HttpRegistryCatalog::new(&RegistryOptions { tls: Tls::On, ..options(&server.uri()) }).unwrap();
    let error = catalog.repositories(None).await.unwrap_err();
    assert!(matches!(error, CatalogError::Unavailable(_)), "{error:?}");
    let told = format!("{error:?}");
    assert!(told.contains("it speaks no TLS; where that is meant, set STATICREG_REGISTRY_TLS=off"), "{told}");
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
