/* The daemon's page: asks the API of docs/http.md and draws what it says. Whatever comes from a server, a row's values above all, gets into
 * the page as text and never as HTML: only `make` and `draw` make elements. */
const STATUS_MS = 2000, HISTORY_MS = 10000, CONFLICTS_MS = 10000, HOUR_S = 3600, PAGE_ROWS = 10;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/* ---- Elements ---- */

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes ?? {}))
		if (value !== null && value !== undefined && value !== false)
			element.setAttribute(name, value === true ? "" : value);
	element.append(...children.filter((c) => c !== null && c !== undefined).map((c) => (c instanceof Node ? c : String(c))));
	return element;
}
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
/* What is the same stays: a screen reader isn't sent back to its start every two seconds. */
function replace(element, ...children) {
	if ([...element.children].map((c) => c.outerHTML).join() !== children.map((c) => c.outerHTML).join())
		element.replaceChildren(...children);
}
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/* ---- Asking ---- */

let token = sessionStorage.getItem("token");

class Refusal extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

async function ask(path, method = "GET") {
	const headers = token ? { Authorization: `Bearer ${token}` } : {};
	const answer = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
	const body = await answer.json();
	if (!answer.ok)
		throw new Refusal(answer.status, body.error);
	return body;
}

function askToken() {
	const dialog = byId("token-dialog");
	if (!dialog.open)
		dialog.showModal();
}

let troubles = {};

/* What is wrong with one of the things that are asked for; null: nothing. */
function tellTrouble(what, error) {
	troubles[what] = error === null ? undefined : error instanceof Refusal ? error.message : "The daemon doesn't answer; what is shown is old.";
	const texts = [...new Set(Object.values(troubles).filter(Boolean))], box = byId("trouble");
	if (box.textContent !== texts.join(" "))
		box.textContent = texts.join(" ");
	box.hidden = texts.length === 0;
	document.body.classList.toggle("stale", Boolean(troubles.status));
	if (error instanceof Refusal && error.status === 401 && !tellTrouble.asked) {
		tellTrouble.asked = true;
		askToken();
	}
}

/* Again and again while the page is looked at, after ms or what `work` says; `again` makes it happen now. */
function repeat(what, ms, work) {
	let timer = null;
	async function again() {
		let next = ms;
		clearTimeout(timer);
		if (!document.hidden) {
			try {
				next = (await work()) ?? ms;
				tellTrouble(what, null);
			} catch (error) {
				tellTrouble(what, error);
			}
		}
		clearTimeout(timer);
		timer = setTimeout(again, next);
	}
	document.addEventListener("visibilitychange", () => document.hidden || again());
	again();
	return again;
}

/* ---- Words ---- */

const KINDS = { live: "live", "catching up": "catching", connecting: "connecting", stopped: "stopped", "must rejoin": "stopped" };
const kindOf = (link) => (link.paused ? "connecting" : KINDS[link.state] ?? "stopped");
const stateOf = (link) => (link.paused && link.state === "connecting" ? "paused" : link.state);

function span(seconds) {
	if (seconds === null || seconds === undefined)
		return "–";
	const units = [[86400, "d"], [3600, "h"], [60, "min"]];
	for (const [size, name] of units)
		if (seconds >= 2 * size)
			return `${Math.floor(seconds / size)} ${name}`;
	return `${Math.round(seconds)} s`;
}

function bytes(count) {
	if (count === null || count === undefined)
		return "–";
	const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
	let at = 0;
	for (; count >= 1024 && at < units.length - 1; at++)
		count /= 1024;
	return `${at ? count.toFixed(1) : count} ${units[at]}`;
}

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const moment = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString() : "–");

/* ---- Nodes and links ---- */

const COLUMNS = ["State", "Lag", "Behind", "Applied", "Since", "May stay away"];
let status = null, heard = new Map();

/* The nodes of which this one has transactions, but isn't linked to. */
function strangers() {
	const linked = new Set([status.node, ...status.links.map((l) => l.peer)]);
	const seen = (status.server.vector ?? "").split(",").filter(Boolean).map((gtid) => Number(gtid.split("-")[0]));
	return [...new Set(seen)].filter((n) => n > 0 && !linked.has(n));
}

function drawNode(x, y, name, kind) {
	return draw("g", {}, draw("circle", { cx: x, cy: y, r: 30, class: kind }), draw("text", { x, y: y + 5, "text-anchor": "middle" }, name));
}

function drawLink(link, x, y, toX, toY) {
	const length = Math.hypot(toX - x, toY - y), ux = (toX - x) / length, uy = (toY - y) / length;
	const [ax, ay, bx, by] = [x + 33 * ux, y + 33 * uy, toX - 40 * ux, toY - 40 * uy], [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
	const head = `M${bx - 9 * ux - 6 * uy} ${by - 9 * uy + 6 * ux}L${bx} ${by}L${bx - 9 * ux + 6 * uy} ${by - 9 * uy - 6 * ux}`;
	return draw("g", { class: kindOf(link) },
		draw("path", { class: "line", d: `M${ax} ${ay}L${bx} ${by}` }), draw("path", { d: head, fill: "none", stroke: "currentColor", "stroke-width": 3 }),
		draw("text", { class: "state", x: mx, y: my - 8, "text-anchor": "middle" }, stateOf(link)),
		!link.lag_seconds ? null : draw("text", { class: "faint", x: mx, y: my + 18, "text-anchor": "middle" }, `lag ${span(link.lag_seconds)}`));
}

/* This node in the middle, the others around it: two side by side, more in a circle. */
function drawMap() {
	const others = strangers(), count = status.links.length + others.length;
	const width = 480, height = count > 2 ? 360 : 120, x = width / 2, y = height / 2;
	const place = (i) => {
		const angle = count > 2 ? (2 * Math.PI * i) / count - Math.PI / 2 : Math.PI * (1 - i);
		return [x + Math.cos(angle) * 190, y + Math.sin(angle) * (count > 2 ? 140 : 0)];
	};
	const shapes = status.links.flatMap((link, i) => [drawLink(link, ...place(i), x, y), drawNode(...place(i), `node ${link.peer}`, null)]);
	const unlinked = others.map((n, i) => drawNode(...place(status.links.length + i), `node ${n}`, "unlinked"));
	const text = status.links.map((l) => `from node ${l.peer}: ${stateOf(l)}`).concat(others.map((n) => `node ${n} is not linked to this one`));
	return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Node ${status.node}. ${text.join("; ") || "It has no links"}.` },
		...shapes, ...unlinked, drawNode(x, y, `node ${status.node}`, "here"));
}

async function hold(link, button) {
	if (!token)
		return askToken();
	button.disabled = true;
	try {
		await ask(`api/v1/links/${link.peer}/${link.paused ? "resume" : "pause"}`, "POST");
		tellTrouble("hold", null);
	} catch (error) {
		if (error.status === 401)
			askToken();
		tellTrouble("hold", error);
	}
	button.disabled = false;
	return askStatus();
}

/* Rows are changed, not made anew: what has the focus keeps it. */
function showLink(row, link) {
	const button = row.querySelector("button"), verb = link.paused ? "Resume" : "Pause";
	const cells = [[stateOf(link), link.why, link.mend && `Mend it: ${link.mend}`, link.policies_differ && `Conflict policies differ: ${link.policies_differ}`], [span(link.lag_seconds)],
		[number(link.lag_transactions)], [number(link.applied_transactions)], [moment(link.since)], [link.may_stay_away_seconds === null ? "no limit known" : span(link.may_stay_away_seconds)]];
	cells.forEach((texts, i) => {
		const cell = row.cells[i + 1], text = texts.filter(Boolean).join(" ");
		if (cell.textContent !== text)
			cell.replaceChildren(texts[0], ...texts.slice(1).filter(Boolean).map((t) => make("span", { class: "why" }, " ", t)));
	});
	row.cells[1].className = kindOf(link);
	button.onclick = () => hold(link, button);
	if (button.textContent !== `${verb} the link from node ${link.peer}`)
		button.replaceChildren(verb, make("span", { class: "unseen" }, ` the link from node ${link.peer}`));
}

function showLinks() {
	const body = byId("links").tBodies[0];
	for (const row of [...body.rows])
		if (!status.links.some((l) => row.dataset.peer === String(l.peer)))
			row.remove();
	for (const link of status.links) {
		let row = [...body.rows].find((r) => r.dataset.peer === String(link.peer));
		if (!row) {
			/* The roles outlive the layout of a phone. */
			row = make("tr", { "data-peer": link.peer, role: "row" }, make("th", { scope: "row", role: "rowheader" }, `node ${link.peer}`),
				...COLUMNS.map((name) => make("td", { role: "cell", "data-name": name })), make("td", { role: "cell" }, make("button", { type: "button" })));
			body.append(row);
		}
		showLink(row, link);
	}
}

function showServer() {
	const s = status.server, rows = [["This node's server", s.why ? `${s.state}: ${s.why}` : s.state], ["Engine", status.engine_why ? `${status.engine}: ${status.engine_why}` : status.engine],
		["Databases", status.databases.join(", ")], ["Binary log", `${bytes(s.log_bytes)}${s.log_held ? `: ${s.log_held}` : ""}`],
		["Rows in dispute", `${number(s.disputed_rows)}, of them held back ${number(s.held_rows)}`]];
	replace(byId("server"), ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

/* Once for each change, for who doesn't see the page. */
function say() {
	const changes = [];
	for (const link of status.links) {
		if (heard.has(link.peer) && heard.get(link.peer) !== stateOf(link))
			changes.push(`The link from node ${link.peer} is ${stateOf(link)}.`);
		heard.set(link.peer, stateOf(link));
	}
	if (changes.length > 0)
		byId("said").textContent = changes.join(" ");
}

async function loadStatus() {
	status = await ask("api/v1/status");
	const bad = status.links.filter((l) => kindOf(l) !== "live"), well = bad.length === 0 && status.server.state === "live";
	const text = well ? `All ${status.links.length} links are live.` : bad.length > 0 ? bad.map((l) => `Node ${l.peer}: ${stateOf(l)}.`).join(" ") : `The server is ${status.server.state}.`;
	byId("title").textContent = `Node ${status.node}`;
	byId("summary").textContent = text;
	document.title = `${well ? "" : "! "}Node ${status.node}, Syncline`;
	replace(byId("map"), drawMap());
	showLinks();
	showServer();
	showVerified();
	say();
}

/* ---- The last hour ---- */

let history = null;

async function loadHistory() {
	const last = history?.times.at(-1), news = await ask(`api/v1/history${last ? `?since=${last}` : ""}`);
	if (history && news.now >= history.now) {
		const old = history.times.length, links = new Map(history.links.map((l) => [l.peer, l]));
		news.times = history.times.concat(news.times);
		for (const link of news.links)
			for (const name of ["lag_seconds", "lag_transactions", "applied"])
				link[name] = (links.get(link.peer)?.[name] ?? Array(old).fill(null)).concat(link[name]);
		const first = news.times.findIndex((t) => t > news.now - HOUR_S);
		for (const list of [news, ...news.links].flatMap((o) => Object.values(o).filter(Array.isArray)))
			if (list !== news.links)
				list.splice(0, Math.max(first, 0));
	} else if (last) {
		history = null; /* the machine began anew */
		return loadHistory();
	}
	history = news;
	if (history.links.length > 0)
		byId("plots").replaceChildren(...history.links.flatMap((l) => [
			plot(`Lag from node ${l.peer}`, "s", l.lag_seconds), plot(`Throughput from node ${l.peer}`, "transactions/s", l.applied.map((n) => (n === null ? null : n / history.interval_seconds)))]));
	return history.links.length > 0 ? null : STATUS_MS; /* a daemon that has just started */
}

/* The next of 1, 2, 5, 10, … */
function ceiling(value) {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
	return [1, 2, 5, 10].map((f) => f * power).find((c) => c >= value) ?? 10 * power;
}

function plot(title, unit, values) {
	const width = 320, height = 110, left = 34, bottom = 18, known = values.filter((v) => v !== null), top = ceiling(Math.max(0, ...known));
	const x = (i) => (left + (1 - (history.now - history.times[i]) / HOUR_S) * (width - left)).toFixed(1), y = (v) => (height - bottom - (v / top) * (height - bottom - 8)).toFixed(1);
	let path = "", area = "";
	values.forEach((v, i) => {
		if (v === null || x(i) < left)
			return;
		const begins = i === 0 || values[i - 1] === null || x(i - 1) < left, ends = i === values.length - 1 || values[i + 1] === null;
		path += `${begins ? "M" : "L"}${x(i)} ${y(v)}${begins && ends ? "h1" : ""}`;
		area += `${begins ? `M${x(i)} ${height - bottom}L` : "L"}${x(i)} ${y(v)}${ends ? `L${x(i)} ${height - bottom}Z` : ""}`;
	});
	const round = (v) => Number(v.toFixed(1)), now = values.at(-1);
	const text = known.length === 0 ? "not known" : `now ${now === null || now === undefined ? "not known" : `${round(now)} ${unit}`}, at most ${round(Math.max(...known))} ${unit}`;
	return make("figure", {}, make("figcaption", {}, make("b", {}, title), `: ${text}`),
		draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} in the last hour: ${text}` },
			draw("path", { class: "axis", d: `M${left} 8V${height - bottom}H${width}M${left} 8H${width}` }), draw("path", { class: "area", d: area }), draw("path", { class: "curve", d: path }),
			draw("text", { class: "faint", x: left - 4, y: 12, "text-anchor": "end" }, number(top)), draw("text", { class: "faint", x: left - 4, y: height - bottom, "text-anchor": "end" }, "0"),
			draw("text", { class: "faint", x: left, y: height - 4 }, "1 h ago"), draw("text", { class: "faint", x: width, y: height - 4, "text-anchor": "end" }, "now")));
}

/* ---- Conflicts ---- */

const ROWS = [["base", "before"], ["local", "lost"], ["remote", "won"], ["applied", "became"]];
let shown = "", older = null;

const isRow = (row) => row !== null && typeof row === "object" && !Array.isArray(row);
const listOf = (data, name) => (Array.isArray(data[name]) ? data[name] : []);
const asText = (value, isHex) => (isHex ? `x'${value}'` : typeof value === "string" ? value : JSON.stringify(value));

/* An application may write anything into the table: only what has rows is shown as rows. */
function rowTable(conflict, data) {
	const rows = ROWS.filter(([name]) => name !== "base" || isRow(data.base));
	const columns = [...new Set(rows.flatMap(([name]) => (isRow(data[name]) ? Object.keys(data[name]) : [])))], lost = listOf(data, "lost"), hex = listOf(data, "hex");
	const head = make("tr", {}, make("th", { scope: "col" }, "column"), ...rows.map(([name, title]) => make("th", { scope: "col" }, isRow(data[name]) ? title : `${title}: no row`)));
	const lines = columns.map((column) => make("tr", {}, make("th", { scope: "row" }, column), ...rows.map(([name]) => {
		const is_lost = name === "local" && lost.includes(column), value = isRow(data[name]) ? data[name][column] : undefined;
		const text = value === undefined ? "" : value === null ? make("i", {}, "NULL") : asText(value, hex.includes(column));
		return make("td", { class: is_lost && "lost" }, text, is_lost ? make("span", { class: "unseen" }, " (lost)") : null);
	})));
	return make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `The rows of conflict ${conflict.id}` },
		make("table", {}, make("caption", { class: "unseen" }, `Conflict ${conflict.id}: the row as it was lost and as it won`), make("thead", {}, head), make("tbody", {}, ...lines)));
}

function facts(conflict, data) {
	const keys = Object.entries(data.key ?? {}).map(([k, v]) => `${k}=${asText(v, listOf(data, "hex").includes(k))}`).join(", ");
	const rows = [["What", conflict.what], ["Key", keys], ["Decided by", data.resolver && `${data.resolver}: ${data.resolution}`],
		["Lost", data.local_gtid && `${data.local_gtid}, ${moment(data.local_time)}`], ["Won", data.remote_gtid && `${data.remote_gtid}, ${moment(data.remote_time)}`],
		["Undo", `syncline conflicts undo ${conflict.id}`]];
	return make("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function body(conflict) {
	const data = conflict.conflict_data;
	if (conflict.conflict_data_left_out) {
		const button = make("button", { type: "button" }, "Show its rows, which are long");
		button.onclick = async () => {
			try {
				const { conflict: whole } = await ask(`api/v1/conflicts/${conflict.id}?database=${encodeURIComponent(conflict.database)}`);
				button.parentElement.replaceWith(body(whole.conflict_data_left_out ? { ...whole, conflict_data_left_out: false, conflict_data: "too long to be shown here" } : whole));
			} catch (error) {
				tellTrouble("conflicts", error);
			}
		};
		return make("p", {}, button);
	}
	if (!isRow(data) || !ROWS.some(([name]) => isRow(data[name])))
		return make("p", {}, "This record is not Syncline's: ", typeof data === "string" ? data : JSON.stringify(data));
	return make("div", {}, facts(conflict, data), rowTable(conflict, data));
}

function conflictBox(conflict) {
	const data = isRow(conflict.conflict_data) ? conflict.conflict_data : {}, box = make("details", { "data-id": conflict.id });
	box.append(make("summary", {}, `${conflict.id}: ${conflict.database}.${data.table ?? conflict.table_name}, ${data.kind ?? conflict.conflict_type}, ${moment(conflict.created_at)}, `,
		conflict.resolved ? "resolved" : make("b", {}, "open")), body(conflict));
	return box;
}

function conflictsPath(before) {
	const query = new URLSearchParams({ limit: PAGE_ROWS, ...(byId("only-open").checked ? { open: 1 } : {}), ...(before ? { before } : {}) });
	if (byId("database").value)
		query.set("database", byId("database").value);
	return `api/v1/conflicts?${query}`;
}

function showDatabases(told) {
	const select = byId("database");
	if ([...select.options].map((o) => o.value).join() === told.databases.join())
		return;
	select.replaceChildren(...told.databases.map((d) => make("option", { value: d }, d)));
	select.value = told.database ?? "";
	byId("database-label").hidden = told.databases.length < 2;
}

async function loadConflicts() {
	const told = await ask(conflictsPath()), text = JSON.stringify(told), list = byId("conflicts");
	if (text === shown)
		return;
	shown = text;
	showDatabases(told);
	const open = new Set([...list.querySelectorAll("details[open]")].map((d) => d.dataset.id)), focused = document.activeElement?.closest("details")?.dataset.id;
	list.replaceChildren(...told.conflicts.map(conflictBox));
	for (const box of list.children) {
		box.open = open.has(box.dataset.id);
		if (box.dataset.id === focused)
			box.querySelector("summary").focus();
	}
	byId("open-count").textContent = told.open === 0 ? "None is open." : `${number(told.open)} ${told.open === 1 ? "is" : "are"} open.`;
	older = told.next;
	byId("older").hidden = older === null;
}

async function loadOlder() {
	const told = await ask(conflictsPath(older)), boxes = told.conflicts.map(conflictBox);
	byId("conflicts").append(...boxes);
	boxes[0]?.querySelector("summary").focus();
	older = told.next;
	byId("older").hidden = older === null;
}

/* ---- Verified ---- */

function tell(value) {
	if (Array.isArray(value))
		return value.length === 0 ? "none" : make("ul", {}, ...value.map((v) => make("li", {}, tell(v))));
	if (isRow(value))
		return make("dl", {}, ...Object.entries(value).flatMap(([name, v]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, /(_at|^at|^since|^time|_s)$/.test(name) && v > 1e9 ? moment(v) : tell(v))]));
	return value === null ? "–" : String(value);
}

function showVerified() {
	const results = [["", status.verified], ...status.links.map((l) => [`With node ${l.peer}`, l.verified])].filter(([, v]) => v !== undefined && v !== null);
	const text = JSON.stringify(results), box = byId("verified");
	if (box.dataset.text === text)
		return;
	box.dataset.text = text;
	box.replaceChildren(...results.flatMap(([title, v]) => [title ? make("h3", {}, title) : null, tell(v)].filter(Boolean)));
	if (results.length === 0)
		box.replaceChildren(make("p", {}, "Not verified since the daemon started."));
}

/* ---- Start ---- */

const askStatus = repeat("status", STATUS_MS, loadStatus), askHistory = repeat("history", HISTORY_MS, loadHistory), askConflicts = repeat("conflicts", CONFLICTS_MS, loadConflicts);

byId("show-token").onclick = askToken;
byId("token-cancel").onclick = () => byId("token-dialog").close();
byId("token-form").onsubmit = () => {
	token = byId("token").value.trim() || null;
	byId("token").value = "";
	tellTrouble.asked = false;
	tellTrouble("hold", null);
	if (token)
		sessionStorage.setItem("token", token);
	else
		sessionStorage.removeItem("token");
	askStatus();
	askHistory();
	askConflicts();
};
byId("only-open").onchange = byId("database").onchange = askConflicts;
byId("older").onclick = () => loadOlder().catch((error) => tellTrouble("conflicts", error));
