"use strict";
// The table of all findings: filter, sort and leaf through the columns embedded in this page. Text goes in as text only.
(async () => {
  const $ = (id) => document.getElementById(id);
  const PAGE = 50, QUIET = 4, FLEET = "*";
  const SEVERITIES = ["critical", "high", "medium", "low", "info"];

  // The language: CSS shows it; this tells assistive technology and remembers it in the address.
  const language = () => ($("lang-en").checked ? "en" : "nl");
  const title = document.title;
  const speak = () => {
    document.documentElement.lang = language();
    document.title = language() === "en" ? title.replace("Conformiteitsrapport", "Conformity report") : title;
  };
  if (new URLSearchParams(location.search).get("lang") === "en") $("lang-en").checked = true;
  for (const id of ["lang-nl", "lang-en"]) $(id).addEventListener("change", speak);
  speak();

  // Paper shows what a screen folds away.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not([open]):not(figure *)")) {
      fold.open = true;
      addEventListener("afterprint", () => { fold.open = false; }, { once: true });
    }
  });

  const unpack = async () => {
    const bytes = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    const size = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    let at = 4 + size;
    const column = {};
    for (const [name, length] of Object.entries(head.columns)) {
      column[name] = new Uint32Array(buffer, at, length);
      at += length * 4;
    }
    // Targets and subjects are told once, from a row on or for a row: spread them over the rows.
    const rows = column.code.length, target = new Uint32Array(rows), subject = new Uint32Array(rows);
    column.since.forEach((row, place) => target.fill(column.target[place], row, column.since[place + 1] ?? rows));
    column.named.forEach((row, place) => { subject[row] = column.subject[place]; });
    return { ...head, ...column, target, subject };
  };

  let data;
  try {
    data = await unpack();
  } catch {
    $("no-explorer").hidden = true;
    $("explorer-failed").hidden = false;
    return;
  }
  const { target, code, full, texts } = data;
  const rows = code.length;
  // Where the details of a row are: only rows that carry details have an entry.
  const detail = new Int32Array(rows);
  for (let row = 0, next = 0; row < rows; row++) detail[row] = full || (code[row] & 7) < QUIET ? next++ : -1;

  const rank = (names) => {
    const order = names.map((_, place) => place).sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
    const ranks = new Uint32Array(names.length);
    order.forEach((place, at) => { ranks[place] = at; });
    return ranks;
  };
  const gravity = data.kinds.map((kind) => SEVERITIES.indexOf(kind[1]));
  const targetRank = rank(data.targets), kindRank = rank(data.kinds.map((kind) => kind[0]));
  let textRank;
  const KEYS = {
    state: (row) => (code[row] & 7) * 8 + gravity[code[row] >> 3],
    severity: (row) => gravity[code[row] >> 3],
    target: (row) => targetRank[target[row]],
    check: (row) => kindRank[code[row] >> 3],
    observed: (row) => (detail[row] < 0 ? -1 : (textRank ??= rank(texts))[data.observed[detail[row]]]),
  };

  let sorting = "state", descending = false, page = 0, found = new Uint32Array(0);

  const matching = (names, needle) => Uint8Array.from(names, (name) => (name.toLowerCase().includes(needle) ? 1 : 0));

  const choose = () => {
    const picked = (name) => Array.from(document.querySelectorAll(`input[name=${name}]:checked`), (box) => box.value);
    const states = picked("state"), severities = picked("severity");
    const stateOk = Uint8Array.from({ length: 8 }, (_, state) => (!states.length || states.includes(String(state)) ? 1 : 0));
    const severe = Uint8Array.from(data.kinds, (kind) => (!severities.length || severities.includes(kind[1]) ? 1 : 0));
    const host = $("f-system").value.trim().toLowerCase(), needle = $("f-check").value.trim().toLowerCase();
    const hosts = matching(data.targets, host), kinds = matching(data.kinds.map((kind) => kind.join(" ")), needle);
    const subjects = matching(data.subjects, needle), said = needle ? matching(texts, needle) : null;
    const keep = new Uint32Array(rows);
    let count = 0;
    for (let row = 0; row < rows; row++) {
      const kind = code[row] >> 3, at = detail[row];
      if (!stateOk[code[row] & 7] || !severe[kind] || !hosts[target[row]]) continue;
      if (said && !kinds[kind] && !subjects[data.subject[row]] && !(at >= 0 && (said[data.observed[at]] || said[data.expected[at]]))) continue;
      keep[count++] = row;
    }
    found = keep.slice(0, count);
    if (sorting) {
      const keys = new Float64Array(rows), key = KEYS[sorting], sign = descending ? -1 : 1;
      for (const row of found) keys[row] = sign * key(row);
      found.sort((a, b) => keys[a] - keys[b] || a - b);
    }
    page = 0;
    draw();
  };

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const stamp = (id) => $(id).content.cloneNode(true);
  const fill = (root, name, value) => {
    for (const slot of root.querySelectorAll(`[data-slot=${name}]`)) {
      const spoken = slot.closest("[lang]").lang;
      slot.textContent = typeof value === "number" ? value.toLocaleString(spoken) : value;
    }
  };
  const words = (name, value) => document.querySelector(`input[name=${name}][value="${value}"] + span`).cloneNode(true);
  // Texts come made safe; after a NUL stands the length of one that was cut, or nothing for one left out.
  const say = (cell, number) => {
    const [text, length] = texts[number].split("\0");
    cell.append(text);
    if (length === undefined) return;
    const note = stamp(length ? "t-cut" : "t-left-out");
    if (length) fill(note, "n", Number(length));
    cell.append(note);
  };

  const draw = () => {
    const pages = Math.max(Math.ceil(found.length / PAGE), 1);
    const body = document.createDocumentFragment();
    for (const row of found.subarray(page * PAGE, (page + 1) * PAGE)) {
      const kind = data.kinds[code[row] >> 3], at = detail[row], subject = data.subjects[data.subject[row]];
      const line = make("tr"), host = make("th"), check = make("td"), seen = make("td", "said");
      const state = make("td"), severity = make("td");
      state.append(words("state", code[row] & 7));
      severity.append(words("severity", kind[1]));
      host.scope = "row";
      const name = data.targets[target[row]];
      host.append(name === FLEET ? stamp("t-fleet") : name);
      if (subject) host.append(make("span", "under", subject));
      for (const [place, spoken] of [[2, "nl"], [3, "en"]]) {
        const span = make("span", "", kind[place]);
        span.lang = spoken;
        check.append(span);
      }
      check.append(make("code", "under", kind[0]));
      if (at >= 0) {
        say(seen, data.observed[at]);
        if (texts[data.expected[at]]) {
          const want = stamp("t-expected");
          const slot = want.querySelector("[data-slot=text]");
          say(slot, data.expected[at]);
          seen.append(want);
        }
      }
      line.append(state, severity, host, check, seen);
      if (full) line.append(make("td", "digest", texts[data.evidence[at]]));
      body.append(line);
    }
    $("rows").replaceChildren(body);
    const status = $("found");
    fill(status, "n", found.length);
    fill(status, "total", rows);
    fill(status, "page", page + 1);
    fill(status, "pages", pages);
    $("previous").disabled = page === 0;
    $("next").disabled = page >= pages - 1;
  };

  for (const box of document.querySelectorAll(".filters input[type=checkbox]")) box.addEventListener("change", choose);
  let waiting;
  for (const id of ["f-system", "f-check"]) {
    $(id).addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(choose, 120); });
  }
  const clear = () => {
    for (const box of document.querySelectorAll(".filters input[type=checkbox]")) box.checked = false;
    $("f-system").value = $("f-check").value = "";
  };
  $("f-clear").addEventListener("click", () => { clear(); choose(); });
  $("previous").addEventListener("click", () => { page--; draw(); });
  $("next").addEventListener("click", () => { page++; draw(); });
  for (const heading of document.querySelectorAll("th[data-sort]")) {
    heading.querySelector("button").addEventListener("click", () => {
      descending = sorting === heading.dataset.sort && !descending;
      sorting = heading.dataset.sort;
      for (const other of document.querySelectorAll("th[data-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      choose();
    });
  }
  for (const link of document.querySelectorAll("a[data-check]")) {
    link.addEventListener("click", () => {
      clear();
      document.querySelector("input[name=state][value='0']").checked = true;
      $("f-check").value = link.dataset.check;
      choose();
    });
  }
  $("no-explorer").hidden = true;
  $("explorer").hidden = false;
  document.documentElement.classList.add("scripted");
  choose();
})();
