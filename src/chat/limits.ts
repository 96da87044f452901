// Every bound of the product, with its unit in the name. Operators may change those that
// src/ops/config.ts reads from the environment; the rest are part of the contract.

const KiB = 1024;
const MiB = 1024 * KiB;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

// Time that a chat may take
export const DEFAULT_TTL_MS = DAY_MS;
export const MAX_TTL_MS = 7 * DAY_MS;
export const RUN_TIMEOUT_MS = HOUR_MS;
/** How long a chat waits for its client's tools, and never beyond its expiry. */
export const CLIENT_TOOL_TIMEOUT_MS = HOUR_MS;
/** Model turns of one chat. */
export const MAX_TURNS = 20;
/** Model calls of one chat: its turns, and as many that repair one. */
export const MAX_MODEL_CALLS = 2 * MAX_TURNS;
/** How often a chat may lose its worker since its last finished step before it ends in ERROR. */
export const MAX_ATTEMPTS = 3;

// Requests
export const MAX_REQUEST_BYTES = 8 * MiB;
/** Fields, items and messages of one request together: decoding and checking them takes about 0.3 s. */
export const MAX_REQUEST_VALUES = 100_000;
export const DEFAULT_PRIORITY = 5;
export const PRIORITY_LEVELS = 10;
/** As JSON in UTF-8: it lies in the headers of the start, and NATS takes 64 KiB of those. */
export const MAX_METADATA_BYTES = 32 * KiB;
/** An unauthenticated peer gets this long to send its request's head. */
export const REQUEST_HEAD_TIMEOUT_MS = 10 * SECOND_MS;
export const REQUEST_BODY_TIMEOUT_MS = 60 * SECOND_MS;

// Tools
/** Of one tool's schema, in messages, lists and values inside each other. */
export const MAX_SCHEMA_DEPTH = 64;
/** JSON values of one tool's schema: checking so many takes up to 10 ms. */
export const MAX_SCHEMA_VALUES = 1_000;
/** The same of all tools of a request. */
export const MAX_SCHEMAS_VALUES = 4_000;
/** Schemas of tools that were found to be in order are known again, so many of them. */
export const KNOWN_SCHEMAS = 2_000;
/** Calls of tools in one model turn. */
export const MAX_TOOL_CALLS_PER_TURN = 128;
/** Input of all tool calls of one turn, in UTF-16 units: at most three times that in bytes, and one event
 * asks the client for all of them. */
export const MAX_TOOL_INPUT_CHARS = 192 * 1024;
/** Ids of tool calls that a model server gives; longer ones are replaced. */
export const MAX_TOOL_USE_ID_CHARS = 256;
export const MAX_TOOL_NAME_CHARS = 128;
/** Of one marker of a citation, its quote included, in UTF-16 units; longer ones are text. */
export const MAX_CITATION_MARKER_CHARS = 1_024;
/** Calls of tools that are run here at once, for one chat. */
export const TOOL_CALLS_AT_ONCE = 8;
/** One call of a tool that is run here. */
export const TOOL_CALL_TIMEOUT_MS = 60 * SECOND_MS;
/** Of what a tool answers, in UTF-16 units; the rest is cut off, with a note. */
export const MAX_TOOL_RESULT_CHARS = 64 * 1024;
/** Of all that the tools that are run here answer in one chat, in UTF-16 units: as much as the largest contexts
 * hold. Once it is reached no more calls are made; those under way may still answer. */
export const MAX_CHAT_TOOL_RESULT_CHARS = 4 * MiB;
/** Images in one result of an MCP server's tool: they are in one event with its text. */
export const MAX_TOOL_RESULT_IMAGE_BYTES = 512 * KiB;
/** And how many: each costs more than its bytes. */
export const MAX_TOOL_RESULT_IMAGES = 64;
/** Of all of them in one chat: each turn of the model has them all. */
export const MAX_CHAT_TOOL_IMAGE_BYTES = 4 * MiB;
/** Of all results in one SubmitToolResults, encoded: they are one event. */
export const MAX_TOOL_RESULTS_BYTES = 768 * KiB;
/** A worker whose view lacks the results that it is to go on from reads again after this long. */
export const READ_AGAIN_MS = 20;
/** And leaves the command to its redelivery after so many readings. */
export const READ_AGAIN_TRIES = 250;
/** Results of client tools without a continue after this long: whoever took them is gone. */
export const CONTINUE_GRACE_MS = 2 * SECOND_MS;

/** A call's progress is told so often, the newest each time, … */
export const TOOL_PROGRESS_EVERY_MS = SECOND_MS;
/** … and so many times in all. */
export const MAX_TOOL_PROGRESS_EVENTS = 200;
/** Of what it says, in UTF-16 units; the rest is cut off. */
export const MAX_TOOL_PROGRESS_CHARS = 1_000;

// MCP servers
/** The longest wait for one answer, where a request says nothing; and the most that it may say. */
export const MCP_TIMEOUT_MS = TOOL_CALL_TIMEOUT_MS;
export const MAX_MCP_TIMEOUT_MS = 600 * SECOND_MS;
/** To connect and to list the tools, each; a shorter wait of the request's own counts. */
export const MCP_OPEN_MS = 20 * SECOND_MS;
/** How long a chat's end waits for its sessions to be closed. */
export const MCP_CLOSE_MS = SECOND_MS;
/** Of one answer; of the stream by which a server speaks of its own accord as well. */
export const MAX_MCP_ANSWER_BYTES = 4 * MiB;
/** How often one session opens such a stream: a server may end it as soon as it is open. */
export const MAX_MCP_STREAMS = 32;
/** Tools of all MCP servers of a chat together: model servers take no more. */
export const MAX_MCP_TOOLS = 128;
/** Pages of the list of one server's tools, and tools on them. */
export const MAX_MCP_PAGES = 32;
export const MAX_MCP_LISTED_TOOLS = 1_000;
/** The names of such tools, as the strictest of the well-known model servers take them. */
export const MAX_MCP_TOOL_NAME_CHARS = 64;
/** Of a tool's description, in UTF-16 units; the rest is cut off. */
export const MAX_MCP_DESCRIPTION_CHARS = 8 * KiB;
/** Of what a failed call says, in UTF-16 units. */
export const MAX_MCP_ERROR_CHARS = 8 * KiB;
/** Headers of one server, names and values. */
export const MAX_MCP_HEADER_CHARS = 16 * KiB;
/**
 * Processes of MCP servers at once, for each worker process, the last for a tenant that has none; the next wait as long
 * as a connection may take.
 */
export const MCP_PROCESSES = 64;
export const MAX_WAITING_MCP_PROCESSES = 256;
/** How long such a process may take to end after its input has; and again after SIGTERM. Then it is killed. */
export const MCP_PROCESS_END_MS = MCP_CLOSE_MS / 2;
/** Messages of one that are read in one turn of the event loop: whoever says many holds nobody else up. */
export const MCP_MESSAGES_AT_ONCE = 50;
/** Of an answer over HTTP the same, in bytes: it may be made of very small messages. */
export const MCP_BYTES_AT_ONCE = 8 * KiB;
/** The wait for an answer to the newest revision's first question: older servers may say nothing to it. */
export const MCP_PROBE_MS = 5 * SECOND_MS;
/** Lines that one such process may write into the log, and characters of each. */
export const MAX_MCP_LOG_LINES = 200;
export const MAX_MCP_LOG_LINE_CHARS = 2_000;
/** Of a command with its arguments, and of its environment: what every system takes. */
export const MAX_MCP_COMMAND_CHARS = 64 * KiB;
export const MAX_OAUTH_ANSWER_BYTES = 64 * KiB;
/** A token is asked for anew so long before it ends. */
export const OAUTH_EARLY_MS = 30 * SECOND_MS;

// What tools may use
/** Items of tool_context that are free data: all of it stands before the model in each call. */
export const MAX_CONTEXT_DATA_BYTES = 256 * KiB;
/** Of one description in the words that list documents and tables for the model. */
export const MAX_LISTED_DESCRIPTION_CHARS = 500;
/** Of such a list; what is beyond is named in short. */
export const MAX_TOOL_LIST_CHARS = 16 * 1024;

// Search in documents
/** A passage: a long paragraph. It ends with a paragraph, a line, a sentence or a word, … */
export const PASSAGE_CHARS = 1_200;
/** … whichever comes first of these at or beyond this many. */
export const PASSAGE_LEAST_CHARS = 600;
export const DEFAULT_PASSAGES = 5;
export const MAX_PASSAGES = 20;
export const MAX_SEARCH_QUERY_CHARS = 2_000;
/** Different words of a query that are looked for, the first ones. */
export const MAX_SEARCH_WORDS = 64;
/** An index is made in slices of this length, between which other chats are served. */
export const INDEX_SLICE_MS = 5;
/** Of the texts whose indexes a process keeps for the calls to come; an index takes about 3 bytes a unit. */
export const KEPT_INDEX_CHARS = 32 * 1024 * 1024;
/** Indexes that are kept, however small. */
export const KEPT_INDEXES = 256;

// Search by meaning, where an embeddings endpoint is configured
/** Of one call with its tries, where the operator says nothing; and the most that it may say. */
export const EMBEDDINGS_TIMEOUT_MS = 20 * SECOND_MS;
export const MAX_EMBEDDINGS_TIMEOUT_MS = 40 * SECOND_MS;
/** For all passages of a run together: a search is over before its call of a tool would be. */
export const EMBED_PASSAGES_MS = 40 * SECOND_MS;
/** Passages in one call, where the operator says nothing; and the most that it may say. */
export const EMBEDDINGS_BATCH = 64;
export const MAX_EMBEDDINGS_BATCH = 512;
/** Calls that one run has under way at a time. */
export const EMBEDDING_CALLS_AT_ONCE = 4;
export const EMBEDDING_CALL_TRIES = 3;
/** Of one answer: the largest batch with the most dimensions, written out as digits, is larger. */
export const MAX_EMBEDDINGS_ANSWER_BYTES = 32 * MiB;
export const MAX_EMBEDDING_DIMENSIONS = 8_192;
/** Of the vectors of one run, which are 4 bytes for each dimension of each passage. */
export const MAX_VECTOR_BYTES = 32 * MiB;
/** Of the vectors that a process keeps for the searches to come, those that are being made included. */
export const KEPT_VECTOR_BYTES = 256 * MiB;
/** Passages of one run that are embedded; where there are more, none is. */
export const MAX_EMBEDDED_PASSAGES = 8_192;
/** Passages of each ranking that are fused. */
export const FUSED_PASSAGES = 100;

// Processes that query tables and databases and read documents. Of each kind the last is for a tenant that has none
// (src/processes/fair-places.ts), so one alone has all but one.
export const PROCESS_START_MS = 20 * SECOND_MS;

// Tables
export const MAX_TABLES = 50;
/** Of all tables of a request, as given: reading so much holds a process for 0.1 to 0.25 s. */
export const MAX_TABLES_BYTES = 4 * MiB;
/** Of all tables of a request: rows times columns. */
export const MAX_TABLES_CELLS = 500_000;
export const MAX_TABLE_COLUMNS = 200;
export const MAX_COLUMN_NAME_CHARS = 128;
/** What is known of tables by their text is kept for the chats to come, so many times. */
export const KNOWN_TABLES = 256;
/** One query, its tables loaded. */
export const TABLE_QUERY_MS = 5 * SECOND_MS;
/** Loading the tables of a request. */
export const TABLE_LOAD_MS = 20 * SECOND_MS;
/** A text that SQL makes, in bytes. */
export const MAX_SQL_VALUE_BYTES = 8 * MiB;
/** Processes that query tables, for each worker process; they end when there was nothing to do. */
export const TABLE_PROCESSES = 3;
export const TABLE_PROCESS_IDLE_MS = 60 * SECOND_MS;
/** Of a process as a whole: beyond it the query is ended with it. */
export const TABLE_PROCESS_MEMORY_BYTES = 512 * MiB;
/** Databases that such a process keeps loaded. */
export const TABLE_PROCESS_DATABASES = 4;

// Databases
export const MAX_DATABASES = 8;
/** To find the host, connect and log in. */
export const DATABASE_CONNECT_MS = 10 * SECOND_MS;
/** One statement, by the database's own clock where it has one. */
export const DATABASE_QUERY_MS = 20 * SECOND_MS;
/** To wait for whoever writes a file of SQLite. */
export const SQLITE_BUSY_MS = 5 * SECOND_MS;
/** How long a process has to call its query off at the database before it is ended. */
export const DATABASE_CANCEL_MS = 2 * SECOND_MS;
/** Addresses of a host that are tried, the first ones. */
export const DATABASE_ADDRESSES = 4;
/** Processes that query databases, for each worker process, each on one connection at most. */
export const DATABASE_PROCESSES = 5;
export const DATABASE_PROCESS_IDLE_MS = 60 * SECOND_MS;
/** Of a process as a whole: beyond it the query is ended with it, whatever a server sends. */
export const DATABASE_PROCESS_MEMORY_BYTES = 384 * MiB;
/** Tables of one database that are listed at once. */
export const MAX_LISTED_TABLES = 500;
/** Of what lists one table, its columns included, in UTF-16 units. */
export const MAX_LISTED_TABLE_CHARS = 4_000;
/** Of what a database says of a statement that failed, in UTF-16 units. */
export const MAX_SQL_ERROR_CHARS = 500;

// SQL over tables and databases
export const MAX_SQL_CHARS = 20_000;
/** Rows of one answer. */
export const MAX_SQL_RESULT_ROWS = 200;
/** Of one answer, in UTF-16 units. */
export const MAX_SQL_RESULT_CHARS = 32 * 1024;
/** Of one value in it. */
export const MAX_SQL_SHOWN_VALUE_CHARS = 2_000;
/** Queries that wait for a process; the next is an error result. */
export const MAX_WAITING_QUERIES = 64;

// Images and documents of a request
/** What the strictest of the well-known model servers take. */
export const MAX_IMAGE_BYTES = 5 * MiB;
export const MAX_IMAGES = 100;
export const MAX_DOCUMENTS = 100;
/** Elements of a page open inside each other; pages that people read have some dozens. */
export const MAX_HTML_DEPTH = 5_000;
/** Columns of a table in a page that cells may span, as browsers have it; cells beyond them span one. */
export const MAX_HTML_TABLE_COLUMNS = 1_000;
/** A table that is wider as text has its cells beside each other instead of under each other. */
export const MAX_HTML_TABLE_WIDTH_CHARS = 400;
export const MAX_DOCUMENT_PAGES = 2_000;
export const MAX_DOCUMENT_TEXT_BYTES = 4 * MiB;
/** A DOCX is a ZIP: what it may unpack to. */
export const MAX_DOCUMENT_EXPANDED_BYTES = 64 * MiB;
export const DOCUMENT_READ_MS = 20 * SECOND_MS;
/** For all documents of one request together, waiting included. */
export const DOCUMENTS_READ_MS = 60 * SECOND_MS;
/** Processes that read documents, for each api process; they end when there was nothing to read. */
export const DOCUMENT_READERS = 3;
export const DOCUMENT_READER_IDLE_MS = 60 * SECOND_MS;
/** Of the JavaScript heap, beside which buffers lie; the process as a whole is bounded by the next. */
export const DOCUMENT_READER_HEAP_MIB = 256;
export const DOCUMENT_READER_MEMORY_BYTES = 512 * MiB;
/** Documents that wait for a reader, together; the next is refused. */
export const MAX_WAITING_DOCUMENT_BYTES = 64 * MiB;
/** Documents of one request by url that are fetched and read at once. */
export const DOCUMENTS_FETCHED_AT_ONCE = 4;
/** Documents that one api process fetches at once, the last place for a tenant that has none; the next wait. */
export const DOCUMENT_FETCHES = 16;
export const MAX_WAITING_FETCHES = 1_000;
/** GetChatStream FULL gives bytes back up to here, and the size and SHA-256 of more. */
export const MAX_VIEW_DATA_BYTES = 4 * KiB;

// Fetching from addresses that callers and models give
/** From the name to the last byte, redirects included. */
export const FETCH_MS = 20 * SECOND_MS;
/** Of a body, as it comes and after decompression: what a request could carry as well. */
export const MAX_FETCH_BYTES = MAX_REQUEST_BYTES;
export const MAX_FETCH_HEADER_BYTES = 32 * KiB;
export const MAX_FETCH_REDIRECTS = 5;
/** Text of a page for a model, in UTF-16 units. */
export const MAX_WEB_PAGE_CHARS = 48 * KiB;
export const MAX_WEB_PAGE_TITLE_CHARS = 300;
/** Of an address, as in the contract. */
export const MAX_URL_CHARS = 8_192;

// Tokens
/** Texts of one request that are counted; a longer one is left to the model server to judge. */
export const MAX_COUNTED_BYTES = 8 * MiB;
/** Texts of one request that are counted to the end without much thought: 10 to 20 ms. */
export const EXACT_COUNT_BYTES = 64 * KiB;
/** How long a start waits for its tokens to be counted. */
export const TOKEN_COUNT_MS = 500;
/** Counts that wait for the counting thread; the next is left to the model server to judge. */
export const MAX_WAITING_COUNTS = 64;

// Answers by a schema
/** JSON values of the schema: compiling so many takes up to 0.3 s. */
export const MAX_ANSWER_SCHEMA_VALUES = 4_000;
/** Regular expressions in one schema of an answer. */
export const MAX_SCHEMA_PATTERNS = 50;
/** Their machines' sizes together, repetitions written out: making so much takes up to 0.5 s. */
export const MAX_SCHEMA_PATTERN_STEPS = 10_000;
export const MAX_SCHEMA_PATTERN_CHARS = 1_000;
/** Schemas beside and inside each other in one function of compiled code. */
export const MAX_SCHEMA_NESTING = 400;
/** What all schemas that apply to one and the same value may cost, in JSON values of theirs. */
export const MAX_SCHEMA_COST = 20_000;
/** What checking an answer may cost, in JSON values of the schema that are looked at: up to 0.3 s. */
export const MAX_SCHEMA_CHECK_COST = 2_000_000;
/** The same of finding more than the first violation. */
export const MAX_SCHEMA_REPORT_COST = 50_000;
export const MAX_SCHEMA_VIOLATIONS = 10;
export const MAX_SCHEMA_VIOLATION_CHARS = 300;
/** Errors that are put into words, the same ones over again included. */
export const MAX_SCHEMA_ERRORS_SAID = 30;
/** Named properties of a schema that says `unevaluated…` of others: each is looked for at each value. */
export const MAX_UNEVALUATED_NAMES = 500;
/** Compiled schemas that a process keeps for the chats to come. */
export const KEPT_ANSWER_SCHEMAS = 64;
/** An answer by a schema: it is in one event, the last. */
export const MAX_OUTPUT_JSON_BYTES = 640 * KiB;
/** A longer schema is not repeated to a model that did not keep to it. */
export const MAX_REPAIR_SCHEMA_CHARS = 8 * KiB;
/** Lists and objects inside each other in such an answer. */
export const MAX_OUTPUT_JSON_DEPTH = 200;

// Events
/** No event is larger; longer content is split. */
export const MAX_EVENT_BYTES = MiB;
/** Text in one delta and in one record, in UTF-16 units: at most three times that in bytes, which
 * leaves room for the envelope under MAX_EVENT_BYTES and NATS's payload of 1 MiB. */
export const MAX_DELTA_CHARS = 64 * 1024;
/** Text and reasoning of one chat, all blocks together, in UTF-16 units. */
export const MAX_OUTPUT_CHARS = 64 * 1024 * 1024;
/** What a model server wants back with its reasoning, of one block, in UTF-16 units. */
export const MAX_THINKING_SIGNATURE_CHARS = 192 * 1_024;
/** GetChatStream FULL: many clients refuse messages of 4 MiB. */
export const MAX_FULL_VIEW_BYTES = 3 * MiB;

// Model calls
export const MODEL_CONNECT_TIMEOUT_MS = 10 * SECOND_MS;
export const FIRST_TOKEN_TIMEOUT_MS = 60 * SECOND_MS;
export const IDLE_TIMEOUT_MS = 60 * SECOND_MS;
export const MODEL_CALL_TRIES = 4;
export const MODEL_RETRY_BASE_MS = 250;
export const MODEL_RETRY_MAX_MS = 20 * SECOND_MS;
/** A 429 holds its model back for no longer, whatever its Retry-After says. */
export const MODEL_HOLD_BACK_MAX_MS = HOUR_MS;
/** After a hold-back calls follow in growing numbers; from so many at once on there is no bound. */
export const MODEL_WINDOW_OPEN = 256;
/** A hold-back that is over for this long is forgotten. */
export const MODEL_HOLD_BACK_FORGET_MS = 60 * SECOND_MS;
export const MODEL_ERROR_BODY_BYTES = 64 * KiB;
export const MODEL_SSE_LINE_BYTES = 4 * MiB;
export const MODEL_LIST_TIMEOUT_MS = 5 * SECOND_MS;
export const MODEL_LIST_FRESH_MS = 30 * SECOND_MS;
/** After a failed call for the list the failure stands this long, so that callers do not pile up. */
export const MODEL_LIST_RETRY_MS = SECOND_MS;
export const MODEL_LIST_BYTES = 8 * MiB;
/** A file of the operator's: of models, of MCP servers. */
export const MAX_OPERATOR_FILE_BYTES = MiB;
/** A finished answer waits this long for what may still follow it: usage, and the stream's end. */
export const MODEL_TAIL_MS = 5 * SECOND_MS;
/** Connections to the model server kept for the next call; running calls are not bounded by it. */
export const MODEL_IDLE_SOCKETS = 1_024;
export const MODEL_IDLE_SOCKET_MS = 30 * SECOND_MS;

// Workers
export const DEFAULT_WORKER_SLOTS = 64;
export const EMBEDDED_WORKER_SLOTS = 4;
export const ACK_WAIT_MS = 15 * SECOND_MS;
export const RENEW_EVERY_MS = 4 * SECOND_MS;
export const WORKER_POLL_MS = SECOND_MS;
export const WORKER_PULL_BATCH = 32;
/** One free slot in this many goes by turn, while chats of several priorities wait. */
export const TURN_EVERY_SLOTS = 10;
/** A worker that lost its renewals is asked whether it still runs the chat: so long, … */
export const OWNER_QUESTION_MS = 500;
/** … and so often. A busy machine answers late, and a wrong no costs a chat one of its attempts. */
export const OWNER_QUESTIONS = 4;
/** A command whose owner says that it still runs it is handed back for this long. */
export const OWNED_NAK_DELAY_MS = 5 * SECOND_MS;
/** Deltas of one chat that wait for the log, in UTF-16 units; past it the model server is not read. */
export const MAX_UNSTORED_CHARS = 256 * 1024;
/** How long a chat's append may be in doubt before the run is given up to its redelivery. */
export const APPEND_SETTLE_MS = 60 * SECOND_MS;
/** How long a stopping worker may take to hand its chats back. */
export const HAND_BACK_MS = 5 * SECOND_MS;
/** Chats that have lost a worker and run in processes of their own, at once and for each worker. */
export const APART_PROCESSES = 2;
/** A chat that must run apart waits so long for room, from its last record on; then it runs with the others. */
export const APART_PATIENCE_MS = 60 * SECOND_MS;
/** A chat that must run apart while there is no room comes again after this long. */
export const APART_NAK_DELAY_MS = SECOND_MS;
/** How long such a process may take to start on a busy machine. */
export const APART_START_MS = 60 * SECOND_MS;
/** How long one that is free waits for the next chat: beyond the ack wait, after which they come. */
export const APART_IDLE_MS = ACK_WAIT_MS + 5 * SECOND_MS;
/** A process that runs a chat apart says this often that it is alive, … */
export const APART_ALIVE_MS = SECOND_MS;
/** … and is killed after this long without. */
export const APART_SILENT_MS = ACK_WAIT_MS;

// Cancel
/** A running chat whose worker has not cancelled after this long is cancelled by a control loop. */
export const CANCEL_TAKEOVER_MS = SECOND_MS;
/** CancelChatStream answers after this long at the latest, with the status as it is then. */
export const CANCEL_ANSWER_MS = 5 * SECOND_MS;
/**
 * A cancel or delete that was handed to a process which then died comes again after this long. Far below that of
 * work, which is renewed: to carry one out is a matter of milliseconds, and two who do it do no harm.
 */
export const CONTROL_ACK_WAIT_MS = 5 * SECOND_MS;
/** Control commands that one loop takes at a time. */
export const CONTROL_BATCH = 256;
/** A control loop rings for a worker again after this long. */
export const RING_AGAIN_MS = 100;

// NATS
export const NATS_REQUEST_MS = 5 * SECOND_MS;
/** A question that may be put twice is, when no answer came for this long. */
export const ASK_AGAIN_MS = SECOND_MS;
export const NATS_PING_MS = 3 * SECOND_MS;
/** At a start JetStream may have no leader for this long; an election takes up to 14 s. */
export const JETSTREAM_START_MS = 60 * SECOND_MS;
/** The list's feed hears a heartbeat of its consumer each half of this. */
export const CHANGES_PULL_MS = 4 * SECOND_MS;
/** How long it may hear nothing before it makes itself another consumer. */
export const CHANGES_SILENT_MS = 4 * SECOND_MS;
export const COMMANDS_MAX_AGE_MS = MAX_TTL_MS + DAY_MS;
export const EVENTS_MAX_AGE_MS = COMMANDS_MAX_AGE_MS + DAY_MS;
export const MAX_CATCH_UP_RECORDS = 1_024;
export const PUBLISH_TRIES = 4;
/** What one pull brings at the most: NATS cuts a connection that holds 64 MiB for its reader. Room
 * for the largest command. */
export const PULL_BYTES = MAX_REQUEST_BYTES + MiB;

// The store
/**
 * Of whatever bounds the store, this share is kept back: past it no chat is started, past half of it
 * no model's words are stored. The rest is for ends, cancels, deletes and tombstones.
 */
export const STORE_RESERVE_SHARE = 0.1;
/** The most that is kept back: the ends and deletes of half a million chats. */
export const MAX_STORE_RESERVE_BYTES = 1024 * MiB;
/** How long a run waits for room, its model unread, before it hands its chat back. */
export const FULL_STORE_WAIT_MS = 30 * SECOND_MS;
/** Writes of a process that its looks at the store have not shown yet, each by itself. */
export const MAX_UNSEEN_WRITES = 10_000;
/** How often a process looks how full the store is; what it wrote itself since it adds. */
export const STORE_LOOK_EVERY_MS = SECOND_MS;

// Observers
export const MAX_OBSERVERS_PER_STREAM = 2_000;
export const HEARTBEAT_MS = 15 * SECOND_MS;
/** Records of one chat that a process keeps for its observers. */
export const LIVE_RING_BYTES = 256 * KiB;
/** One replay read, and so the most that one slow observer holds beside the shared ring. */
export const REPLAY_PAGE_BYTES = 256 * KiB;
/** A replay packs records into frames up to this size. */
export const MAX_FRAME_BYTES = 64 * KiB;
/** Who watches a chat at its expiry has so long to see its end, which the sweep makes of an unfinished one. */
export const EXPIRED_END_MS = 5 * SECOND_MS;
/** Silence on an unfinished chat is filled by reading the log after these waits. */
export const SILENCE_READ_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;

// Calls
export const DEFAULT_WAIT_MS = 30 * SECOND_MS;
export const MAX_WAIT_MS = 60 * SECOND_MS;
export const SHUTDOWN_GRACE_MS = 10 * SECOND_MS;

// The port
export const LISTEN_BACKLOG = 1_024;
export const MAX_CONNECTIONS = 10_000;
export const MAX_HEADER_BYTES = 32 * KiB;
/** Calls at once on one HTTP/2 connection; more wait at the client. */
export const MAX_H2_STREAMS = MAX_OBSERVERS_PER_STREAM;
/** What one HTTP/2 connection may hold; past it new calls on it are refused. */
export const MAX_H2_SESSION_MIB = 64;
/** Origins of pages that may not call, of which the log tells. */
export const MAX_TOLD_ORIGINS = 32;
export const MAX_TOLD_ORIGIN_CHARS = 300;
/** Requests of health and reflection. */
export const MAX_CONTROL_REQUEST_BYTES = 64 * KiB;
/** A body that was refused is still read for this long, so that the answer arrives. */
export const DROP_BODY_MS = 5 * SECOND_MS;
/** Longer than the idle times of common proxies, so that they close first. */
export const KEEP_ALIVE_MS = 75 * SECOND_MS;
/** An HTTP/2 connection without calls is told to go away after this long. */
export const H2_IDLE_MS = 10 * 60 * SECOND_MS;
/** A peer gets this long to close its side of an HTTP/2 connection that is over. */
export const H2_CLOSE_MS = SECOND_MS;
/** Error details travel in headers; clients and proxies refuse more than 4 to 8 KiB of them. */
export const MAX_ERROR_METADATA_BYTES = 3_800;
/** Broken rules that are looked for in one request. */
export const MAX_VIOLATIONS = 100;
/** Messages inside messages. protobuf stops at 100, and a stored request lies in other messages. */
export const MAX_MESSAGE_DEPTH = 64;
export const TOKENS_POLL_MS = 2 * SECOND_MS;

// The embedded nats-server
export const EMBEDDED_NATS_START_MS = 60 * SECOND_MS;
export const EMBEDDED_NATS_STOP_MS = 10 * SECOND_MS;
/** What a power cut may lose; docs/decisions/0005-sync-interval.md. */
export const EMBEDDED_NATS_SYNC_MS = SECOND_MS;
/** Holds a request of MAX_REQUEST_BYTES with its headers. */
export const EMBEDDED_NATS_MAX_PAYLOAD_BYTES = MAX_REQUEST_BYTES + MiB;

// Sealing
export const SEAL_KEY_BYTES = 32;
/** Each is tried for an id that a caller gives again, and may be what a stored chat was sealed with. */
export const MAX_SEAL_KEYS = 16;

// The list
/** Changes go into the list in one transaction with what comes within this time, unless a call waits. */
export const LIST_FLUSH_MS = 20;
/** ListChatStreams waits this long for the list to hold what the leader has. */
export const LIST_CATCH_UP_MS = 5 * SECOND_MS;
export const LIST_CLEAN_EVERY_MS = SECOND_MS;
/** Expired chats that leave the list at a time, so that no call waits long for it. */
export const LIST_CLEAN_BATCH = 200;
/** An expired chat is listed no more, but the sweep must still find it to end it. */
export const LIST_KEEP_EXPIRED_MS = HOUR_MS;
export const DEFAULT_PAGE_SIZE = 50;
/** PENDING chats of one tenant; the next start is refused. */
export const MAX_QUEUED_PER_TENANT = 10_000;

// Deadlines that the sweep keeps
export const SWEEP_EVERY_MS = SECOND_MS;
/** A chat that no worker took for this long ends in ERROR. */
export const START_DEADLINE_MS = HOUR_MS;
/** A worker keeps its own run timeout; the sweep comes after it. */
export const RUN_TIMEOUT_GRACE_MS = 30 * SECOND_MS;
export const SWEEP_BATCH = 100;

// Traces
/** Spans that wait for the collector; those that come then are dropped. */
export const SPAN_QUEUE = 2_048;
export const SPAN_BATCH = 512;
export const SPAN_SEND_EVERY_MS = 5 * SECOND_MS;
/** Of one field of a span. */
export const SPAN_FIELD_CHARS = 1_024;
/** What is left of them is sent at a stop, which waits no longer than this. */
export const SPAN_FLUSH_MS = 2 * SECOND_MS;

// The log
/** Lines that wait to be written; those that come then are dropped. */
export const MAX_UNWRITTEN_LOG_BYTES = MiB;

// The command line
/** An answer to one call; WaitChatStream is asked again and again. */
export const CLI_CALL_TIMEOUT_MS = 30 * SECOND_MS;
/** WaitChatStream's own bound. */
export const CLI_WAIT_MS = 60 * SECOND_MS;
/** What is read of a file or of stdin: what a server would take. */
export const CLI_INPUT_BYTES = MAX_REQUEST_BYTES;
/** What `doctor` waits for each thing that it looks at. */
export const DOCTOR_LOOK_MS = 5 * SECOND_MS;
/** Clocks that differ by more make times and deadlines misleading. */
export const DOCTOR_CLOCK_MS = 2 * SECOND_MS;
