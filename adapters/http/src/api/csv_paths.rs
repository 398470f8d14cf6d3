//! Every list has a path of its own as CSV: `/api/v1/images.csv`. Beside JSON in one answer it would leave clients that are
//! made of the document without a type.

use std::{collections::HashMap, sync::Arc};

use poem::{
    EndpointExt as _, Request,
    endpoint::BoxEndpoint,
    http::{HeaderValue, Method, header::ACCEPT},
};
use poem_openapi::{
    OpenApi,
    registry::{MetaApi, MetaOperation, Registry},
};

const CSV: &str = "text/csv";

/// Lists and what each is called as CSV.
const OPERATIONS: [(&str, &str); 12] = [
    ("list_pulls", "export_pulls"),
    ("list_folders", "export_folders"),
    ("list_repositories", "export_repositories"),
    ("list_images", "export_images"),
    ("list_architectures", "export_architectures"),
    ("list_tags", "export_tags"),
    ("list_digests", "export_digests"),
    ("list_metrics", "export_metrics"),
    ("list_registry_repositories", "export_registry_repositories"),
    ("list_registry_tags", "export_registry_tags"),
    ("list_registry_images", "export_registry_images"),
    ("list_cleanup", "export_cleanup"),
];

/// An API whose lists also have paths that answer CSV alone. `Accept: text/csv` is answered so at the list's own path too.
pub(crate) struct WithCsvPaths<A>(pub(crate) A);

impl<A: OpenApi> OpenApi for WithCsvPaths<A> {
    fn meta() -> Vec<MetaApi> {
        // What describes an operation cannot be cloned, so it is asked for twice.
        let (mut lists, mut exports) = (A::meta(), A::meta());
        for operation in operations(&mut lists) {
            keep_content(operation, |content_type| content_type != CSV);
        }
        for api in &mut exports {
            api.paths.retain_mut(|path| {
                path.path.push_str(".csv");
                path.operations.retain_mut(as_export);
                !path.operations.is_empty()
            });
        }
        lists.into_iter().chain(exports).collect()
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
    }

    fn add_routes(self, route_table: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        let mut routes = HashMap::new();
        self.0.add_routes(&mut routes);
        for (path, methods) in routes {
            for (method, endpoint) in methods {
                let endpoint = Arc::new(endpoint);
                let as_csv = Arc::clone(&endpoint).before(|mut request: Request| async move {
                    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(CSV));
                    Ok(request)
                });
                let mut add =
                    |path: String, endpoint| route_table.entry(path).or_default().insert(method.clone(), endpoint);
                add(format!("{path}.csv"), as_csv.boxed());
                add(path.clone(), endpoint.boxed());
            }
        }
    }
}

fn operations(apis: &mut [MetaApi]) -> impl Iterator<Item = &mut MetaOperation> {
    apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations)
}

/// Makes an operation the one that answers a list as CSV; false when it answers no list.
fn as_export(operation: &mut MetaOperation) -> bool {
    let Some((_, export)) = OPERATIONS.into_iter().find(|(list, _)| operation.operation_id == Some(*list)) else {
        return false;
    };
    operation.operation_id = Some(export);
    keep_content(operation, |content_type| content_type == CSV);
    true
}

/// Leaves a good answer only some of its forms, and what is said of CSV where that is left.
fn keep_content(operation: &mut MetaOperation, keeps: impl Fn(&str) -> bool) {
    for response in operation.responses.responses.iter_mut().filter(|response| response.status == Some(200)) {
        response.content.retain(|content| keeps(content.content_type));
        if response.content.iter().any(|content| content.content_type == CSV) {
            response.description = "A page of the list as CSV (RFC 4180), with a head.";
        } else {
            response.headers.clear();
        }
    }
}
