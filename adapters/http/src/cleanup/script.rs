//! The list as a script for the shell, for the tools that people delete tags with.
//!
//! Every tool is made to delete a tag and nothing else:
//!
//! - `regctl tag rm` asks for just that; where the registry cannot, it lets the tag point to an empty manifest of its own
//!   and deletes that.
//! - `crane delete` with a tag sends the tag. A registry that cannot delete tags refuses, and nothing happens.
//! - `skopeo delete` looks the tag up and deletes the manifest with all its tags. So the script lets the tag point to an
//!   empty image of its own before, as regctl does.
//!
//! What comes from the registry is untrusted: it is quoted, and what could end a line is left out.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use staticreg_application::clean_up::{Cleanup, CleanupItem};

use super::{notes, words};
use crate::pages::text;

/// What deletes tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Regctl,
    Crane,
    Skopeo,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Regctl, Self::Crane, Self::Skopeo];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Regctl => "regctl",
            Self::Crane => "crane",
            Self::Skopeo => "skopeo",
        }
    }

    /// What it really does.
    fn told(self) -> &'static str {
        match self {
            Self::Regctl => {
                "# regctl deletes the tag alone. Where the registry cannot, regctl lets the tag point to an empty manifest first\n\
                 # and deletes that one.\n"
            }
            Self::Crane => {
                "# crane asks the registry to delete the tag alone. A registry that cannot, such as Distribution 2.x, refuses, and\n\
                 # nothing happens: take the script for regctl there.\n"
            }
            Self::Skopeo => {
                "# skopeo can only delete a manifest, with all tags that point to it. So each tag is made to point to an empty image\n\
                 # of its own first, and that one is deleted: no other tag goes.\n"
            }
        }
    }

    /// Functions of the shell: `digest REPOSITORY TAG` prints what a tag points to, `delete_tag REPOSITORY TAG` deletes it.
    fn functions(self) -> &'static str {
        match self {
            Self::Regctl => {
                "digest() { regctl image digest \"$1:$2\"; }\n\
                 delete_tag() { regctl tag rm \"$1:$2\"; }\n"
            }
            Self::Crane => {
                "digest() { crane digest \"$1:$2\"; }\n\
                 delete_tag() { crane delete \"$1:$2\"; }\n"
            }
            Self::Skopeo => SKOPEO,
        }
    }
}

const SKOPEO: &str = r#"folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

sha256() { sha256sum | cut -d ' ' -f 1; }

digest() {
    skopeo inspect --raw "docker://$1:$2" > "$folder/raw" && printf 'sha256:%s\n' "$(sha256 < "$folder/raw")"
}

delete_tag() {
    rm -rf "$folder/image" && mkdir "$folder/image" || return
    # Of this tag alone: it is its author.
    printf '{"author":"%s","architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' \
        "deletes $1:$2" > "$folder/configuration"
    hash=$(sha256 < "$folder/configuration")
    size=$(wc -c < "$folder/configuration" | tr -d ' ')
    mv "$folder/configuration" "$folder/image/$hash"
    printf 'Directory Transport Version: 1.1\n' > "$folder/image/version"
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"sha256:%s","size":%s},"layers":[]}' \
        application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.config.v1+json "$hash" "$size" \
        > "$folder/image/manifest.json"
    skopeo copy --quiet "dir:$folder/image" "docker://$1:$2" && skopeo delete "docker://$1:$2"
}
"#;

/// The most tags in a script.
const MAX_TAGS: usize = 10_000;

/// How long a script may be run after it was made, in seconds: what it names may be used by then.
const VALID_FOR: i64 = 24 * 60 * 60;

/// The script that deletes those of the list that somebody chooses; `host` stands before a repository's name.
pub(crate) fn script(tool: Tool, cleanup: &Cleanup, host: &str, now: DateTime<Utc>) -> String {
    let mut script = String::from("#!/bin/sh\n");
    let days = cleanup.question.unused_days;
    let made = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut add = |text: String| script.push_str(&text);
    add(format!("# Tags that nobody used for {days} days, found by staticreg at {made}.\n#\n"));
    add("# As it stands it deletes nothing. Take the `# ` before `delete` off the lines that you choose, and run it within a\n\
         # day. A tag that points to something else by then is left.\n#\n"
        .to_owned());
    add(tool.told().to_owned());
    add("#\n# Space becomes free with the registry's garbage collection alone. That of registry 2.8 must not be run with\n\
         # --delete-untagged: it deletes the images of indexes that have a tag.\n"
        .to_owned());
    for note in notes(cleanup, now) {
        add(format!("#\n# {}\n", without_controls(&note.text)));
    }
    let until = now.timestamp() + VALID_FOR;
    add(format!("set -eu\n\nif [ \"$(date +%s)\" -gt {until} ]; then\n"));
    add("    echo 'This list is more than a day old: what it names may be used by now. Make it anew.' >&2\n    exit 1\nfi\n\n"
        .to_owned());
    add(tool.functions().to_owned());
    add(DELETE.to_owned());
    let lines: Vec<_> = cleanup.items.iter().filter_map(|item| line(item, host)).take(MAX_TAGS).collect();
    let left_out = cleanup.items.len() - lines.len();
    lines.into_iter().for_each(&mut add);
    if left_out > 0 {
        add(format!("\n# {left_out} more are left out: a script holds {MAX_TAGS} tags.\n"));
    }
    add("\nexit \"$failed\"\n".to_owned());
    script
}

const DELETE: &str = r#"
failed=0

# Deletes the tag $2 of the repository $1, if it points to the digest $3 still.
delete() {
    now=$(digest "$1" "$2") || now=nothing
    if [ "$now" != "$3" ]; then
        echo "$1:$2 is left: it points to $now, and not to $3 any more" >&2
        failed=1
    elif delete_tag "$1" "$2"; then
        echo "$1:$2 is deleted"
    else
        echo "$1:$2 could not be deleted" >&2
        failed=1
    fi
}

"#;

/// The line of a tag; none where a name could end it.
fn line(item: &CleanupItem, host: &str) -> Option<String> {
    let repository = quoted(&format!("{host}/{}", item.repository))?;
    let (tag, digest) = (quoted(item.tag.as_str())?, quoted(item.digest.as_ref()?.as_str())?);
    let mut line = format!("# delete {repository} {tag} {digest} # {}", words(&item.verdict));
    if let Some(at) = item.last_pulled_at {
        write!(line, " {}", at.format("%Y-%m-%d")).expect("memory takes all");
    }
    let about = if item.freed.is_exact { "" } else { "about " };
    writeln!(line, ", frees up to {about}{}", text::size(item.freed.bytes)).expect("memory takes all");
    Some(line)
}

/// A word of the shell; none for a text that would end the line, which a comment does not survive.
fn quoted(text: &str) -> Option<String> {
    let is_of_one_line = !text.chars().any(char::is_control);
    is_of_one_line.then(|| format!("'{}'", text.replace('\'', "'\\''")))
}

fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    use staticreg_application::clean_up::{CleanupQuestion, Freed, Verdict};
    use staticreg_domain::metrics::DateRange;

    use super::*;

    fn cleanup(tags: &[&str]) -> Cleanup {
        let digest = format!("sha256:{}", "0a".repeat(32)).parse().ok();
        let at: DateTime<Utc> = "2026-11-21T20:00:00Z".parse().expect("a time");
        let item = |tag: &&str| CleanupItem {
            repository: "team-a/app".parse().expect("a name"),
            tag: tag.parse().expect("a tag"),
            digest: digest.clone(),
            verdict: Verdict::NotPulledSince,
            created: None,
            last_pulled_at: Some(at),
            pulls: 0,
            version_checks: 0,
            size: None,
            freed: Freed { bytes: 1_500, is_exact: true },
            watched_since: None,
        };
        Cleanup {
            question: CleanupQuestion::default(),
            at,
            window: DateRange::days_until(at.date_naive(), 90),
            watched_since: None,
            has_registry: true,
            unread_repositories: 0,
            sources: Vec::new(),
            items: tags.iter().map(item).collect(),
            candidates: tags.len(),
            kept: 0,
            freed: Freed::default(),
        }
    }

    /// Runs a script, all of whose lines somebody chose, with a tool that tells what it is asked and knows of one digest.
    fn run(tool: Tool, script: &str, digest: &str) -> (bool, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        let program = folder.path().join(tool.name());
        let text = format!(
            "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done >> {told}; echo >> {told}\n\
             case \"$*\" in *digest*) echo {digest};; esac\n",
            told = told.display()
        );
        fs::write(&program, text).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("runs");
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let chosen = script.replace("# delete '", "delete '");
        let file = folder.path().join("script");
        fs::write(&file, chosen).expect("written");
        let done = Command::new("sh").arg(&file).env("PATH", path).current_dir(&folder).output().expect("a shell");
        let entries = fs::read_dir(&folder).expect("a folder").count();
        assert_eq!(entries, if told.exists() { 3 } else { 2 }, "it makes no file");
        (done.status.success(), fs::read_to_string(told).unwrap_or_default())
    }

    #[expect(clippy::disallowed_methods, reason = "the script asks the machine's clock")]
    fn now() -> DateTime<Utc> {
        DateTime::from(std::time::SystemTime::now())
    }

    #[test]
    fn tags_are_deleted_that_point_to_the_same_still() {
        let cleanup = cleanup(&["1.0", "1.1"]);
        let same = format!("sha256:{}", "0a".repeat(32));
        let script = |tool| script(tool, &cleanup, "registry.example:5000", now());
        let image = |tag: &str| format!("<registry.example:5000/team-a/app:{tag}>");
        let asked = |digest: &str, delete: &str| {
            ["1.0", "1.1"].map(|tag| format!("{digest}{0}\n{delete}{0}\n", image(tag))).concat()
        };
        assert_eq!(run(Tool::Regctl, &script(Tool::Regctl), &same), (true, asked("<image><digest>", "<tag><rm>")));
        assert_eq!(run(Tool::Crane, &script(Tool::Crane), &same), (true, asked("<digest>", "<delete>")));
        let (is_done, told) = run(Tool::Crane, &script(Tool::Crane), "sha256:other");
        assert!(!is_done && !told.contains("<delete>"), "{told}");
    }

    #[test]
    fn nothing_is_deleted_a_day_later() {
        let script = script(Tool::Crane, &cleanup(&["1.0"]), "registry.example", now() - chrono::TimeDelta::hours(25));
        assert_eq!(run(Tool::Crane, &script, "sha256:other"), (false, String::new()));
    }

    #[test]
    fn a_hostile_name_is_a_word_and_no_command() {
        let cleanup = cleanup(&["1.0"]);
        let same = format!("sha256:{}", "0a".repeat(32));
        for host in ["a'; touch b; '", "$(touch b)", "`touch b`", "a\"; touch b; \"", "a # b", "a\\", "-a", "é b"] {
            for tool in [Tool::Crane, Tool::Regctl] {
                let (is_done, told) = run(tool, &script(tool, &cleanup, host, now()), &same);
                assert!(is_done && told.contains(&format!("<{host}/team-a/app:1.0>")), "{host}: {told}");
            }
        }
        for host in ["a\ntouch b\n", "a\r", "a\0"] {
            let script = script(Tool::Crane, &cleanup, host, now());
            assert!(!script.contains("touch") && script.contains("1 more are left out"), "{script}");
        }
    }
}
