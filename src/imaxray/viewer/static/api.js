// Asks the server; an error of the server is a sentence for the user.

function address(path, parameters) {
  const query = new URLSearchParams(parameters).toString();
  return query ? `${path}?${query}` : path;
}

async function checked(response) {
  if (response.ok) return response;
  let sentence = `Expected an answer of the viewer, but got the status ${response.status}; is it still running?`;
  try {
    sentence = (await response.json()).error ?? sentence;
  } catch { /* no JSON: the sentence above */ }
  throw new Error(sentence);
}

async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("Expected an answer of the viewer, but there is none; start `imaxray view` again.");
  }
}

export async function get(path, parameters, signal) {
  return (await checked(await asked(address(path, parameters), { signal }))).json();
}

/** Return all pixels of an image: `{values, about}`. */
export async function getPixels(parameters, signal) {
  const response = await checked(await asked(address("/api/pixels", parameters), { signal }));
  const about = JSON.parse(response.headers.get("x-pixels"));
  const content = await response.arrayBuffer();
  return { about, values: about.bits === 16 ? new Uint16Array(content) : new Uint8Array(content) };
}

export async function post(path, parameters, body) {
  const options = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  return (await checked(await asked(address(path, parameters), options))).json();
}

export const addressOf = address;
