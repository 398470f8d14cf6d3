//! Registry events as they arrive.

/// One entry of a notification's envelope, as Distribution sends it and before anything is checked.
///
/// Nothing in it is trusted: every member may be missing or hold any text. The members are those of
/// <https://distribution.github.io/distribution/about/notifications/> that counting needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryEvent {
    /// The event's id; the same when the registry repeats the event.
    pub id: Option<String>,
    /// When it happened, by the registry's clock.
    pub timestamp: Option<String>,
    /// `pull`, `push`, `mount` or `delete`.
    pub action: Option<String>,
    /// `target.mediaType`.
    pub media_type: Option<String>,
    /// `target.repository`.
    pub repository: Option<String>,
    /// `target.tag`; only there when the client named a tag.
    pub tag: Option<String>,
    /// `target.digest`.
    pub digest: Option<String>,
    /// `target.references`; only there when the registry is told `includereferences: true`.
    pub references: Vec<RegistryReference>,
    /// `request.id`.
    pub request_id: Option<String>,
    /// `request.addr`: the client's address, with or without port.
    pub client_address: Option<String>,
    /// `request.method`.
    pub method: Option<String>,
    /// `request.useragent`.
    pub user_agent: Option<String>,
}

/// A descriptor in `target.references`: a child of an index, or a manifest's configuration or layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryReference {
    /// The media type of what is referred to.
    pub media_type: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
    /// `platform.os`.
    pub os: Option<String>,
    /// `platform.architecture`.
    pub architecture: Option<String>,
    /// `platform.variant`.
    pub variant: Option<String>,
}
