//! The commands that fetch what a tag points to.

use staticreg_domain::{RepositoryName, Tag, catalog::Artifact};

use crate::pages::site::Site;

/// A command to copy.
pub(super) struct Command {
    /// The tool, where there is a choice of tools.
    pub(super) tool: Option<&'static str>,
    /// What it is called: `the docker command`.
    pub(super) label: &'static str,
    pub(super) line: String,
}

/// The tools that pull images, and what their commands are called.
const TOOLS: [(&str, &str); 4] = [
    ("docker", "the docker command"),
    ("podman", "the podman command"),
    ("nerdctl", "the nerdctl command"),
    ("crane", "the crane command"),
];

/// The tools among commands that people choose from.
pub(super) fn tools(commands: &[Command]) -> Vec<&'static str> {
    commands.iter().filter_map(|command| command.tool).collect()
}

/// How to fetch what a tag points to, by the tools it is made for.
pub(super) fn commands(site: &Site, name: &RepositoryName, tag: &Tag, artifact: &Artifact) -> Vec<Command> {
    let repository = format!("{}/{name}", site.host());
    let command = |label, line| Command { tool: None, label, line };
    match artifact {
        Artifact::Image => TOOLS
            .into_iter()
            .map(|(tool, label)| {
                // crane writes a file.
                let file = if tool == "crane" { " image.tar" } else { "" };
                Command { tool: Some(tool), label, line: format!("{tool} pull {repository}:{tag}{file}") }
            })
            .collect(),
        Artifact::Chart => {
            // Versions may hold a plus, which tags may not: Helm puts an underscore there.
            let version = tag.as_str().replace('_', "+");
            vec![command("the helm command", format!("helm pull oci://{repository} --version {version}"))]
        }
        Artifact::BuildCache => {
            let cache = format!("type=registry,ref={repository}:{tag}");
            vec![command("the docker command", format!("docker buildx build --cache-from {cache} ."))]
        }
        Artifact::Other(_) => vec![command("the oras command", format!("oras pull {repository}:{tag}"))],
    }
}
