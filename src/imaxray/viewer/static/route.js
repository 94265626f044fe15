// Reads and writes addresses: #/DATASET/images?FILTER and #/DATASET/image/ID?FILTER.

export function readRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [dataset = "", page = "images", id = ""] = path.split("/").map(decoded);
  return { dataset, page: page === "image" ? "image" : "images", id, filter: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function writeRoute({ dataset, page, id, filter }) {
  const parts = [dataset, page, ...(page === "image" ? [id] : [])].map(encodeURIComponent);
  const query = filter?.toString();
  return `#/${parts.join("/")}${query ? `?${query}` : ""}`;
}

/** Go to an address; `quietly` replaces the present one in the history. */
export function go(route, { quietly = false } = {}) {
  const hash = writeRoute(route);
  if (hash === location.hash) return;
  if (quietly) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = hash;
  }
}
