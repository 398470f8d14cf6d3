// Posts a pull and asks for the images, through the types that openapi-typescript makes of the document.
// Prints what the server answered; the test that runs this compares it.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/typescript/schema.js";

declare const process: { argv: string[] };

const client = createClient<paths>({ baseUrl: process.argv[2] });

const event: components["schemas"]["RegistryEvent"] = {
    id: "0d1b7a3e-6f0c-4b55-9d4c-1f6a0f3d7c11",
    timestamp: new Date().toISOString(),
    action: "pull",
    target: {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        repository: "demo/typescript",
        tag: "v1",
        digest: `sha256:${"ab".repeat(32)}`,
    },
    request: { method: "GET", useragent: "demo/1", addr: "192.0.2.1:40000" },
};
const receipt = await client.POST("/api/webhook/registry", { body: { events: [event] } });
const images = await client.GET("/api/v1/images", {
    params: {
        query: {
            repository: ["demo/typescript", "demo/other"],
            kind: ["pull_by_tag", "pull_by_digest"],
            folder: "demo",
            days: 2,
        },
    },
});
const refused = await client.GET("/api/v1/images", { params: { query: { limit: 0 } } });
const compared = await client.GET("/api/v1/repositories", {
    params: { query: { q: "TYPEscript", days: 2, compare: "previous", sort: "change" } },
});
const registry = await client.GET("/api/v1/registry/repositories", { params: { query: { folder: "demo" } } });
const badge = await client.GET("/badge/{repository}.json", {
    params: { path: { repository: "demo/typescript" }, query: { show: "total" } },
});

const image = images.data?.items[0];
const repository = compared.data?.items[0];
const cursor: string | null | undefined = images.data?.next_cursor;
console.log(
    JSON.stringify({
        processed: receipt.data?.events_processed,
        image: image && [image.repository, image.tag, image.count],
        cursor,
        refused: refused.error?.status,
        compared: repository && [repository.count, repository.previous, repository.change],
        registry: registry.error?.code,
        badge: badge.data?.message,
    }),
);
