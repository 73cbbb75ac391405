#include "milter/tool/log_report_words.h"

static const char *const words[REPORT_WORDS][2] = {
	[W_TITLE] = { "Mail relay report", "メール中継記録報告書" },
	[W_PERIOD] = { "Period", "対象期間" },
	[W_NODE] = { "Relay", "中継ノード" },
	[W_TENANT] = { "Tenant", "テナント" },
	[W_ALL] = { "all", "すべて" },
	[W_MADE] = { "Made", "作成日時" },
	[W_VOLUME] = { "Messages", "メッセージ数" },
	[W_ACCEPTED] = { "accepted", "受理" },
	[W_DEFERRED] = { "deferred", "一時拒否" },
	[W_REJECTED] = { "rejected", "拒否" },
	[W_HELD] = { "held", "保留" },
	[W_RECIPIENTS] = { "recipients of accepted messages", "受理メッセージの宛先数" },
	[W_DELIVERED] = { "deliveries reported by the MTA", "MTA が報告した配送" },
	[W_FAILED] = { "failures reported", "報告された配送失敗" },
	[W_BY_DAY] = { "Messages a day (JST)", "日別メッセージ数（日本時間）" },
	[W_RULES] = { "Not accepted, by rule", "受理しなかった理由（ルール別）" },
	[W_BOUNCES] = { "Failures by reason", "配送失敗の理由" },
	[W_INTEGRITY] = { "Is the log as it was written?", "記録の完全性" },
	[W_INTACT] = { "Intact: none altered, none missing.", "完全です。改ざんも欠落もありません。" },
	[W_TAMPERED] = { "ALTERED: records were changed, or are missing.", "改ざんあり：変更または欠落した記録があります。" },
	[W_RETENTION_BROKEN] = { "Kept too long, or not long enough.", "保存期間の違反があります。" },
	[W_UNKNOWN] = { "Cannot tell.", "判定できません。" },
	[W_CHECKED] = { "records checked", "検証した記録" },
	[W_SIGNED] = { "good signatures", "正しい署名" },
	[W_UNSIGNED] = { "records since the last signature", "最後の署名以後の記録" },
	[W_PURGED] = { "files removed after their time, declared and signed", "保存期間満了により削除（署名済）したファイル" },
	[W_ERASED] = { "records erased", "消去した記録" },
	[W_RECOVERED] = { "recoveries after a crash", "障害後の復旧" },
	[W_FINDINGS] = { "Findings", "指摘事項" },
	[W_NOT_PROVED] = { "This does not prove that nothing came after the last record (an end that was taken away shows only against a "
			   "checkpoint kept elsewhere), that what a record says is true, that no mail went round the relay, or that nobody "
			   "copied data before it was removed.",
			   "最後の記録より後に記録がなかったこと（末尾の切り取りは、外部に保管したチェックポイントとの照合によってのみ判明します）、"
			   "記録の内容が真実であること、中継を経ない送信がなかったこと、削除前に複製されなかったことを証明するものではありません。" },
	[W_RETENTION] = { "Retention", "保存期間" },
	[W_PROMISED] = { "promised", "約束した期間" },
	[W_OLDEST] = { "oldest record there is", "現存する最古の記録" },
	[W_CLOCK] = { "Clock", "時計" },
	[W_CLOCK_GOOD] = { "Synchronised throughout.", "全期間にわたり同期していました。" },
	[W_ACCESS] = { "Who looked into the log", "記録の閲覧者" },
	[W_NONE] = { "none", "なし" },
	[W_OTHERS] = { "others", "その他" },
	[W_MESSAGES] = { "messages", "通" },
	[W_TIMES] = { "times", "回" },
	[W_STRIPS] = { "The log day by day", "日ごとの記録の状態" },
	[W_STRIP_VERIFIED] = { "verified", "日次検証" },
	[W_STRIP_COMPLETE] = { "without gaps", "欠落なし" },
	[W_STRIP_CLOCK] = { "clock", "時計" },
	[W_GOOD] = { "good", "正常" },
	[W_WARN] = { "not certain", "要確認" },
	[W_BAD] = { "wrong", "異常" },
	[W_NOT_TOLD] = { "not told", "記録なし" },
	[W_GAPS] = { "times that nothing was written for over two hours", "二時間を超えて書き込みのなかった回数" },
	[W_LONGEST] = { "the longest of them", "そのうち最長" },
	[W_HOURS] = { "hours", "時間" },
	[W_QUOTAS] = { "Quota use now", "送信枠の現在の使用量" },
	[W_KEPT_NOW] = { "oldest record now", "現存する最古の記録の経過日数" },
	[W_KEPT_MIN] = { "removed after, at least", "削除までの最短日数" },
	[W_KEPT_MAX] = { "removed after, at most", "削除までの最長日数" },
	[W_DAYS] = { "days", "日" },
};

/* What the log says in one English word; English readers are given it alone. */
static const struct { struct str name; const char *japanese; } terms[] = {
	{ STR_INIT("undefined"), "理由の記載なし" }, { STR_INIT("onhold"), "分類不能" }, { STR_INIT("userunknown"), "宛先不明" },
	{ STR_INIT("hostunknown"), "ドメイン不明" }, { STR_INIT("hasmoved"), "移転" }, { STR_INIT("notaccept"), "受信しないドメイン" },
	{ STR_INIT("filtered"), "受信者側フィルター" }, { STR_INIT("suspend"), "アカウント停止" }, { STR_INIT("suppressed"), "配信停止リスト" },
	{ STR_INIT("mailboxfull"), "メールボックス満杯" }, { STR_INIT("systemfull"), "相手サーバー容量不足" },
	{ STR_INIT("emailtoolarge"), "サイズ超過" }, { STR_INIT("rejected"), "送信者拒否" }, { STR_INIT("blocked"), "送信元拒否" },
	{ STR_INIT("badreputation"), "送信元の評価" }, { STR_INIT("requireptr"), "逆引き不備" }, { STR_INIT("authfailure"), "送信ドメイン認証失敗" },
	{ STR_INIT("ratelimited"), "流量超過" }, { STR_INIT("norelaying"), "中継拒否" }, { STR_INIT("notcompliantrfc"), "形式違反" },
	{ STR_INIT("policyviolation"), "相手のポリシー" }, { STR_INIT("securityerror"), "セキュリティ" }, { STR_INIT("spamdetected"), "迷惑メール判定" },
	{ STR_INIT("virusdetected"), "ウイルス判定" }, { STR_INIT("contenterror"), "内容不備" }, { STR_INIT("syntaxerror"), "SMTP 手順" },
	{ STR_INIT("expired"), "期限切れ" }, { STR_INIT("networkerror"), "ネットワーク障害" }, { STR_INIT("failedstarttls"), "TLS 失敗" },
	{ STR_INIT("systemerror"), "相手サーバー障害" }, { STR_INIT("mailererror"), "配送プログラム障害" }, { STR_INIT("feedback"), "苦情" },
	{ STR_INIT("ok"), "同期" }, { STR_INIT("degraded"), "誤差 1 秒超" }, { STR_INIT("unsynchronised"), "未同期" },
	{ STR_INIT("behind"), "逆行" },
};

const char *report_word(enum report_word word, enum report_lang lang)
{
	return words[word][lang];
}

const char *report_unit(enum report_word plural, enum report_lang lang, int64_t n)
{
	static const char *const singular[REPORT_WORDS] = { [W_MESSAGES] = "message", [W_TIMES] = "time", [W_DAYS] = "day" };

	return lang == REPORT_EN && n == 1 && singular[plural] ? singular[plural] : report_word(plural, lang);
}

const char *report_term(struct str name, enum report_lang lang)
{
	for (size_t i = 0; lang == REPORT_JA && i < sizeof terms / sizeof *terms; i++)
		if (str_eq(terms[i].name, name))
			return terms[i].japanese;
	return NULL;
}
