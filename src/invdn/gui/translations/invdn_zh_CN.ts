<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN" sourcelanguage="en">
<context>
    <name>Actions</name>
    <message>
        <source>&amp;Go on</source>
        <translation>继续(&amp;G)</translation>
    </message>
    <message>
        <source>&amp;Pause</source>
        <translation>暂停(&amp;P)</translation>
    </message>
    <message>
        <source>&amp;Choose photos…</source>
        <translation>选择文件(&amp;C)…</translation>
    </message>
    <message>
        <source>Choose a &amp;folder…</source>
        <translation>选择文件夹(&amp;F)…</translation>
    </message>
    <message>
        <source>&amp;Save result as…</source>
        <translation>结果另存为(&amp;S)…</translation>
    </message>
    <message>
        <source>Open the result&apos;s f&amp;older</source>
        <translation>打开结果所在文件夹(&amp;O)</translation>
    </message>
    <message>
        <source>Re&amp;move from the list</source>
        <translation>从列表中移除(&amp;M)</translation>
    </message>
    <message>
        <source>C&amp;lear the list</source>
        <translation>清空列表(&amp;L)</translation>
    </message>
    <message>
        <source>&amp;Quit</source>
        <translation>退出(&amp;Q)</translation>
    </message>
    <message>
        <source>Side by si&amp;de</source>
        <translation>并排(&amp;D)</translation>
    </message>
    <message>
        <source>&amp;Wipe</source>
        <translation>滑动对比(&amp;W)</translation>
    </message>
    <message>
        <source>R&amp;esult</source>
        <translation>仅结果(&amp;E)</translation>
    </message>
    <message>
        <source>Removed &amp;noise</source>
        <translation>去除的噪点(&amp;N)</translation>
    </message>
    <message>
        <source>Shows what is removed, {0} times as strong</source>
        <translation>显示被去除的部分，放大 {0} 倍</translation>
    </message>
    <message>
        <source>&amp;Fit</source>
        <translation>适合窗口(&amp;F)</translation>
    </message>
    <message>
        <source>Zoom &amp;in</source>
        <translation>放大(&amp;I)</translation>
    </message>
    <message>
        <source>Zoom &amp;out</source>
        <translation>缩小(&amp;O)</translation>
    </message>
    <message>
        <source>&amp;Previous photo</source>
        <translation>上一张(&amp;P)</translation>
    </message>
    <message>
        <source>Ne&amp;xt photo</source>
        <translation>下一张(&amp;X)</translation>
    </message>
    <message>
        <source>&amp;Go to the photo</source>
        <translation>转到照片(&amp;G)</translation>
    </message>
    <message>
        <source>&amp;Start</source>
        <translation>开始去噪(&amp;S)</translation>
    </message>
    <message>
        <source>&amp;Cancel</source>
        <translation>取消(&amp;C)</translation>
    </message>
    <message>
        <source>&amp;More strength</source>
        <translation>增大强度(&amp;M)</translation>
    </message>
    <message>
        <source>&amp;Less strength</source>
        <translation>减小强度(&amp;L)</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>跟随系统</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>浅色</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>深色</translation>
    </message>
    <message>
        <source>&amp;Keyboard and mouse</source>
        <translation>键盘与鼠标(&amp;K)</translation>
    </message>
    <message>
        <source>&amp;About invdn</source>
        <translation>关于 invdn(&amp;A)</translation>
    </message>
</context>
<context>
    <name>BatchProgress</name>
    <message numerus="yes">
        <source>%n done</source>
        <translation>
            <numerusform>完成 %n 张</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n skipped</source>
        <translation>
            <numerusform>跳过 %n 张</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n failed</source>
        <translation>
            <numerusform>失败 %n 张</numerusform>
        </translation>
    </message>
    <message>
        <source>{0}: {1}</source>
        <translation>{0}：{1}</translation>
    </message>
    <message>
        <source>, </source>
        <translation>，</translation>
    </message>
    <message>
        <source>Progress of all photos</source>
        <translation>全部照片的进度</translation>
    </message>
    <message>
        <source>cancelling…</source>
        <translation>正在取消…</translation>
    </message>
    <message>
        <source>{0} of {1}</source>
        <translation>{0} / {1}</translation>
    </message>
    <message>
        <source>paused</source>
        <translation>已暂停</translation>
    </message>
    <message numerus="yes">
        <source>%n second(s) left</source>
        <translation>
            <numerusform>剩余 %n 秒</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n minute(s) left</source>
        <translation>
            <numerusform>剩余 %n 分钟</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n hour(s) left</source>
        <translation>
            <numerusform>剩余 %n 小时</numerusform>
        </translation>
    </message>
    <message>
        <source>cancelled</source>
        <translation>已取消</translation>
    </message>
    <message>
        <source>nothing was saved</source>
        <translation>没有保存任何文件</translation>
    </message>
    <message>
        <source>stopped early</source>
        <translation>提前停止</translation>
    </message>
    <message numerus="yes">
        <source>finished, %n failed</source>
        <translation>
            <numerusform>处理结束，%n 张失败</numerusform>
        </translation>
    </message>
    <message>
        <source>finished</source>
        <translation>处理结束</translation>
    </message>
</context>
<context>
    <name>Help</name>
    <message>
        <source>Keyboard and mouse</source>
        <translation>键盘与鼠标</translation>
    </message>
    <message>
        <source>&lt;table cellspacing=6&gt;&lt;tr&gt;&lt;td&gt;Mouse wheel&lt;/td&gt;&lt;td&gt;zoom&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Drag, arrow keys&lt;/td&gt;&lt;td&gt;move over the photo&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Space or right button, held&lt;/td&gt;&lt;td&gt;see the original&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Double click&lt;/td&gt;&lt;td&gt;whole photo or 100 %&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;[ and ]&lt;/td&gt;&lt;td&gt;move the divider of the wipe view&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;F6&lt;/td&gt;&lt;td&gt;go to the photo&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+Page Up, Ctrl+Page Down&lt;/td&gt;&lt;td&gt;other photo&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+Up, Ctrl+Down&lt;/td&gt;&lt;td&gt;more or less strength&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+Enter&lt;/td&gt;&lt;td&gt;start&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+S&lt;/td&gt;&lt;td&gt;save the result as…&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Delete&lt;/td&gt;&lt;td&gt;remove from the list; the file stays&lt;/td&gt;&lt;/tr&gt;&lt;/table&gt;</source>
        <translation>&lt;table cellspacing=6&gt;&lt;tr&gt;&lt;td&gt;鼠标滚轮&lt;/td&gt;&lt;td&gt;缩放&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;拖动、方向键&lt;/td&gt;&lt;td&gt;移动画面&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;按住空格键或鼠标右键&lt;/td&gt;&lt;td&gt;查看原图&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;双击&lt;/td&gt;&lt;td&gt;整张照片或 100%&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;[ 和 ]&lt;/td&gt;&lt;td&gt;移动滑动对比的分隔线&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;F6&lt;/td&gt;&lt;td&gt;转到照片&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+Page Up、Ctrl+Page Down&lt;/td&gt;&lt;td&gt;切换照片&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+↑、Ctrl+↓&lt;/td&gt;&lt;td&gt;增大或减小强度&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+Enter&lt;/td&gt;&lt;td&gt;开始去噪&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Ctrl+S&lt;/td&gt;&lt;td&gt;结果另存为&lt;/td&gt;&lt;/tr&gt;&lt;tr&gt;&lt;td&gt;Delete&lt;/td&gt;&lt;td&gt;从列表中移除（文件保留）&lt;/td&gt;&lt;/tr&gt;&lt;/table&gt;</translation>
    </message>
    <message>
        <source>About invdn</source>
        <translation>关于 invdn</translation>
    </message>
    <message>
        <source>&lt;b&gt;invdn {0}&lt;/b&gt;&lt;p&gt;Takes the noise out of photographs, on this computer: no photo ever leaves it.&lt;/p&gt;&lt;p&gt;Apache License 2.0. The window uses Qt (LGPL) through PySide6.&lt;/p&gt;</source>
        <translation>&lt;b&gt;invdn {0}&lt;/b&gt;&lt;p&gt;在本机上去除照片噪点，照片不会离开这台电脑。&lt;/p&gt;&lt;p&gt;Apache License 2.0。界面通过 PySide6 使用 Qt（LGPL）。&lt;/p&gt;</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>Choose photos</source>
        <translation>选择照片</translation>
    </message>
    <message>
        <source>All files (*)</source>
        <translation>所有文件 (*)</translation>
    </message>
    <message>
        <source>Photos ({0})</source>
        <translation>照片 ({0})</translation>
    </message>
    <message>
        <source>Choose a folder of photos</source>
        <translation>选择照片文件夹</translation>
    </message>
    <message>
        <source>{0} is being worked on: cancel that to remove it</source>
        <translation>{0} 正在处理：取消后才能移除</translation>
    </message>
    <message numerus="yes">
        <source>%n left out, for lying where results go</source>
        <translation>
            <numerusform>已略过 %n 张：位于结果文件夹中</numerusform>
        </translation>
    </message>
    <message>
        <source>left out, because these cannot be read: {0}</source>
        <translation>已忽略无法读取的文件：{0}</translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) added</source>
        <translation>
            <numerusform>已添加 %n 张照片</numerusform>
        </translation>
    </message>
    <message>
        <source>these photos are in the list already</source>
        <translation>这些照片已在列表中</translation>
    </message>
    <message>
        <source>no photos found</source>
        <translation>没有找到照片</translation>
    </message>
    <message numerus="yes">
        <source>model {0} {1} on {2}, %n thread(s)</source>
        <translation>
            <numerusform>模型 {0} {1}，运行于 {2}，%n 个线程</numerusform>
        </translation>
    </message>
    <message>
        <source>nothing to do: all photos are done</source>
        <translation>无需处理：所有照片都已完成</translation>
    </message>
    <message>
        <source>no model is loaded: choose one</source>
        <translation>尚未加载模型：请选择一个</translation>
    </message>
    <message>
        <source>Choose a folder for the results</source>
        <translation>选择保存结果的文件夹</translation>
    </message>
    <message>
        <source>Save the result</source>
        <translation>保存结果</translation>
    </message>
    <message>
        <source>An original is never replaced: choose another name.</source>
        <translation>绝不替换原始照片：请另选名称。</translation>
    </message>
    <message>
        <source>going on</source>
        <translation>继续处理</translation>
    </message>
    <message>
        <source>paused</source>
        <translation>已暂停</translation>
    </message>
    <message>
        <source>paused: make room on the disk, then go on</source>
        <translation>已暂停：请腾出磁盘空间，然后继续处理</translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) to do</source>
        <translation>
            <numerusform>共 %n 张照片待处理</numerusform>
        </translation>
    </message>
    <message>
        <source>{0}: {1} MP in {2} s, saved as {3}</source>
        <translation>{0}：{1} 百万像素，用时 {2} 秒，已保存为 {3}</translation>
    </message>
    <message>
        <source>{0}: skipped: {1}</source>
        <translation>{0}：已跳过：{1}</translation>
    </message>
    <message>
        <source>{0}: failed: {1}</source>
        <translation>{0}：失败：{1}</translation>
    </message>
    <message>
        <source>Sav&amp;e as…</source>
        <translation>另存为(&amp;E)…</translation>
    </message>
    <message>
        <source>making noise was cancelled</source>
        <translation>已取消生成噪点</translation>
    </message>
    <message>
        <source>the search for photos was cancelled</source>
        <translation>已取消查找照片</translation>
    </message>
    <message>
        <source>, </source>
        <translation>，</translation>
    </message>
    <message>
        <source>left out, because links to folders are not followed: {0}</source>
        <translation>已跳过，因为不跟随指向文件夹的链接：{0}</translation>
    </message>
    <message>
        <source>nothing to do: the list is empty</source>
        <translation>无需处理：列表是空的</translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) came later: Start does them</source>
        <translation>
            <numerusform>之后又添加了 %n 张照片：点“开始”处理</numerusform>
        </translation>
    </message>
    <message>
        <source>unexpected error, please report it: {0}</source>
        <translation>意外错误，请反馈：{0}</translation>
    </message>
    <message>
        <source>Photos are still being worked on.</source>
        <translation>仍有照片正在处理。</translation>
    </message>
    <message>
        <source>What is saved already stays. The photo in work leaves nothing behind.</source>
        <translation>已保存的结果会保留；正在处理的照片不会留下任何文件。</translation>
    </message>
    <message>
        <source>&amp;Stop and quit</source>
        <translation>停止并退出(&amp;S)</translation>
    </message>
    <message>
        <source>&amp;Keep working</source>
        <translation>继续处理(&amp;K)</translation>
    </message>
    <message>
        <source>Remove noise</source>
        <translation>去除噪点</translation>
    </message>
    <message>
        <source>Add noise</source>
        <translation>添加噪点</translation>
    </message>
    <message>
        <source>&amp;Choose photos…</source>
        <translation>选择文件(&amp;C)…</translation>
    </message>
    <message>
        <source>&amp;Start</source>
        <translation>开始去噪(&amp;S)</translation>
    </message>
    <message>
        <source>C&amp;ancel</source>
        <translation>取消(&amp;A)</translation>
    </message>
    <message>
        <source>Qu&amp;it</source>
        <translation>退出(&amp;I)</translation>
    </message>
    <message>
        <source>Log</source>
        <translation>日志</translation>
    </message>
    <message>
        <source>Photos</source>
        <translation>照片</translation>
    </message>
</context>
<context>
    <name>Menus</name>
    <message>
        <source>&amp;File</source>
        <translation>文件(&amp;F)</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>视图(&amp;V)</translation>
    </message>
    <message>
        <source>&amp;Work</source>
        <translation>处理(&amp;W)</translation>
    </message>
    <message>
        <source>Setti&amp;ngs</source>
        <translation>设置(&amp;N)</translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation>帮助(&amp;H)</translation>
    </message>
    <message>
        <source>&amp;Recent</source>
        <translation>最近使用(&amp;R)</translation>
    </message>
    <message>
        <source>&amp;Language</source>
        <translation>语言(&amp;L)</translation>
    </message>
    <message>
        <source>&amp;Appearance</source>
        <translation>外观(&amp;A)</translation>
    </message>
</context>
<context>
    <name>NoiseTab</name>
    <message>
        <source>Adding noise needs PyTorch: pip install &apos;invdn[train]&apos;</source>
        <translation>添加噪点需要 PyTorch：pip install &apos;invdn[train]&apos;</translation>
    </message>
    <message>
        <source>Making noise…</source>
        <translation>正在生成噪点…</translation>
    </message>
    <message>
        <source>The noise model is missing: train one (invdn train configs/noise.toml), and choose its weights.</source>
        <translation>缺少噪点模型：请训练一个（invdn train configs/noise.toml），再选择其权重文件。</translation>
    </message>
    <message>
        <source>Choose a clean photo in the list first.</source>
        <translation>请先在列表中选择一张干净的照片。</translation>
    </message>
    <message>
        <source>Adds noise like a camera&apos;s to {0}, to test or train with.</source>
        <translation>为 {0} 添加相机般的噪点，用于测试或训练。</translation>
    </message>
    <message>
        <source>Choose a noisy photo</source>
        <translation>选择一张带噪照片</translation>
    </message>
    <message>
        <source>Photos ({0})</source>
        <translation>照片 ({0})</translation>
    </message>
    <message>
        <source>Choose a noise model</source>
        <translation>选择噪点模型</translation>
    </message>
    <message>
        <source>Noise models (*.safetensors)</source>
        <translation>噪点模型 (*.safetensors)</translation>
    </message>
    <message>
        <source>it is too large for the window: use the command &apos;invdn noise&apos;</source>
        <translation>照片太大，窗口无法处理：请使用命令 invdn noise</translation>
    </message>
    <message>
        <source>the command could not be started</source>
        <translation>无法启动命令</translation>
    </message>
    <message>
        <source>the command ended before it was done</source>
        <translation>命令未完成就已结束</translation>
    </message>
    <message>
        <source>{0}: a noisy version is made</source>
        <translation>{0}：已生成带噪版本</translation>
    </message>
    <message>
        <source>{0}: no noise was made: {1}</source>
        <translation>{0}：未能生成噪点：{1}</translation>
    </message>
    <message>
        <source>{0} was not saved: {1}</source>
        <translation>{0} 未保存：{1}</translation>
    </message>
    <message>
        <source>Save the noisy picture</source>
        <translation>保存带噪图片</translation>
    </message>
    <message>
        <source>saved: {0}</source>
        <translation>已保存：{0}</translation>
    </message>
    <message>
        <source>&amp;Level</source>
        <translation>强度(&amp;L)</translation>
    </message>
    <message>
        <source>Noise level, in grey levels of 255</source>
        <translation>噪点强度（以 255 级灰度计）</translation>
    </message>
    <message>
        <source>Like anothe&amp;r photo</source>
        <translation>仿照另一张照片(&amp;R)</translation>
    </message>
    <message>
        <source>Save nois&amp;y…</source>
        <translation>保存(&amp;Y)…</translation>
    </message>
    <message>
        <source>Clean: {0}</source>
        <translation>干净：{0}</translation>
    </message>
    <message>
        <source>Noisy: {0}</source>
        <translation>带噪：{0}</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>选择…</translation>
    </message>
    <message>
        <source>The one that comes with it</source>
        <translation>自带的模型</translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation>其他文件…</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>See&amp;d</source>
        <translation>随机种子(&amp;D)</translation>
    </message>
    <message>
        <source>Another seed makes other noise of the same kind.</source>
        <translation>不同的种子生成同类的不同噪点。</translation>
    </message>
    <message>
        <source>&amp;Make noisy</source>
        <translation>生成(&amp;M)</translation>
    </message>
    <message>
        <source>Noise model</source>
        <translation>噪点模型</translation>
    </message>
    <message>
        <source>The noisy version will be shown here.</source>
        <translation>带噪版本将显示在这里。</translation>
    </message>
    <message>
        <source>Clean and noisy picture</source>
        <translation>干净与带噪的图片</translation>
    </message>
</context>
<context>
    <name>OptionsPanel</name>
    <message>
        <source>Choose a model</source>
        <translation>选择模型</translation>
    </message>
    <message>
        <source>Models (*.onnx)</source>
        <translation>模型 (*.onnx)</translation>
    </message>
    <message>
        <source>Choose a folder for the results</source>
        <translation>选择保存结果的文件夹</translation>
    </message>
    <message>
        <source>This model knows no strength but 100 %.</source>
        <translation>此模型只支持 100% 的强度。</translation>
    </message>
    <message>
        <source>Noise removal</source>
        <translation>去噪</translation>
    </message>
    <message>
        <source>Saving</source>
        <translation>保存</translation>
    </message>
    <message>
        <source>S&amp;trength</source>
        <translation>强度(&amp;T)</translation>
    </message>
    <message>
        <source>Strength, in percent</source>
        <translation>强度（百分比）</translation>
    </message>
    <message>
        <source>F&amp;older</source>
        <translation>文件夹(&amp;O)</translation>
    </message>
    <message>
        <source>0 % is the original, 100 % removes what looks like noise.</source>
        <translation>0% 为原图，100% 去除看起来是噪点的部分。</translation>
    </message>
    <message>
        <source>{0} (about 0.6 of the time)</source>
        <translation>{0}（用时约 0.6 倍）</translation>
    </message>
    <message>
        <source>Mo&amp;del</source>
        <translation>模型(&amp;D)</translation>
    </message>
    <message>
        <source>Not while photos are being worked on</source>
        <translation>处理照片期间不能更改</translation>
    </message>
    <message>
        <source>{0} (about twice the time)</source>
        <translation>{0}（用时约两倍）</translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation>其他文件…</translation>
    </message>
    <message>
        <source>Resu&amp;lts</source>
        <translation>结果(&amp;L)</translation>
    </message>
    <message>
        <source>Beside the original</source>
        <translation>与原图同一文件夹</translation>
    </message>
    <message>
        <source>Into a folder</source>
        <translation>指定文件夹</translation>
    </message>
    <message>
        <source>Ask each time</source>
        <translation>每次询问</translation>
    </message>
    <message>
        <source>For&amp;mat</source>
        <translation>格式(&amp;M)</translation>
    </message>
    <message>
        <source>As the original</source>
        <translation>与原图相同</translation>
    </message>
    <message>
        <source>&amp;Quality</source>
        <translation>质量(&amp;Q)</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>Of JPEG and WebP. Automatic keeps a JPEG&apos;s own, but 90 at least.</source>
        <translation>用于 JPEG 和 WebP。“自动”沿用 JPEG 原有的质量，但不低于 90。</translation>
    </message>
    <message>
        <source>&amp;Keep camera data and place</source>
        <translation>保留拍摄信息和位置(&amp;K)</translation>
    </message>
    <message>
        <source>EXIF, XMP and IPTC: camera, time, place, author. Colours are kept either way.</source>
        <translation>EXIF、XMP 和 IPTC：相机、时间、地点、作者。无论是否保留，颜色都不变。</translation>
    </message>
    <message>
        <source>Skip if the res&amp;ult&apos;s name is taken</source>
        <translation>结果的文件名已被占用时跳过(&amp;U)</translation>
    </message>
    <message>
        <source>Whatever photo has it; otherwise the result gets a number. Nothing is ever overwritten.</source>
        <translation>无论是哪张照片的；否则结果会加上编号。绝不覆盖任何文件。</translation>
    </message>
</context>
<context>
    <name>PhotoList</name>
    <message>
        <source>working, {0} %</source>
        <translation>处理中，{0}%</translation>
    </message>
    <message>
        <source>done</source>
        <translation>已完成</translation>
    </message>
    <message>
        <source>skipped: {0}</source>
        <translation>已跳过：{0}</translation>
    </message>
    <message>
        <source>failed: {0}</source>
        <translation>失败：{0}</translation>
    </message>
    <message>
        <source>{0} MP</source>
        <translation>{0} 百万像素</translation>
    </message>
    <message>
        <source>cannot be read</source>
        <translation>无法读取</translation>
    </message>
</context>
<context>
    <name>PhotoTab</name>
    <message>
        <source>Opening {0}…</source>
        <translation>正在打开 {0}…</translation>
    </message>
    <message>
        <source>{0}: {1}</source>
        <translation>{0}：{1}</translation>
    </message>
    <message>
        <source>Removing noise: {0} %</source>
        <translation>正在去噪：{0}%</translation>
    </message>
    <message>
        <source>Preview ready</source>
        <translation>预览已就绪</translation>
    </message>
    <message>
        <source>Zoom {0} %</source>
        <translation>缩放 {0}%</translation>
    </message>
    <message>
        <source>no model</source>
        <translation>没有模型</translation>
    </message>
    <message>
        <source>Drop photos or folders here</source>
        <translation>将照片或文件夹拖放到这里</translation>
    </message>
    <message>
        <source>JPEG, PNG, TIFF, WebP and others. Originals are never changed.</source>
        <translation>支持 JPEG、PNG、TIFF、WebP 等格式。原图不会被改动。</translation>
    </message>
    <message>
        <source>Choose photos…</source>
        <translation>选择文件…</translation>
    </message>
    <message>
        <source>Hold: original</source>
        <translation>按住看原图</translation>
    </message>
    <message>
        <source>Shows the original while it is held (Space)</source>
        <translation>按住时显示原图（空格键）</translation>
    </message>
    <message>
        <source>Original and result</source>
        <translation>原图与结果</translation>
    </message>
    <message>
        <source>Original</source>
        <translation>原图</translation>
    </message>
    <message>
        <source>Denoised</source>
        <translation>去噪后</translation>
    </message>
    <message>
        <source>Removed noise ×{0}</source>
        <translation>去除的噪点 ×{0}</translation>
    </message>
    <message>
        <source>Not denoised yet</source>
        <translation>尚未去噪</translation>
    </message>
</context>
<context>
    <name>Reasons</name>
    <message>
        <source>the file is not there any more</source>
        <translation>文件已不存在</translation>
    </message>
    <message>
        <source>the file is empty</source>
        <translation>文件是空的</translation>
    </message>
    <message>
        <source>there is a result of that name already</source>
        <translation>已有同名结果</translation>
    </message>
    <message>
        <source>the {0} file is damaged or cut off ({1})</source>
        <translation>{0} 文件已损坏或不完整（{1}）</translation>
    </message>
    <message>
        <source>this is not a picture that can be read ({0})</source>
        <translation>这不是可读取的图片（{0}）</translation>
    </message>
    <message>
        <source>the name lacks a suffix such as .jpg or .tif</source>
        <translation>文件名缺少 .jpg 或 .tif 之类的后缀</translation>
    </message>
    <message>
        <source>{0} files cannot be written: choose another format</source>
        <translation>无法写入 {0} 文件：请选择其他格式</translation>
    </message>
    <message>
        <source>another invdn is making this result just now</source>
        <translation>另一个 invdn 正在生成此结果</translation>
    </message>
    <message>
        <source>another invdn made this result meanwhile</source>
        <translation>另一个 invdn 已在此期间生成此结果</translation>
    </message>
    <message>
        <source>the folder {0} cannot be made: {1}</source>
        <translation>无法创建文件夹 {0}：{1}</translation>
    </message>
    <message>
        <source>nothing can be written into the folder {0}: {1}</source>
        <translation>无法写入文件夹 {0}：{1}</translation>
    </message>
    <message>
        <source>the disk is full: {0} cannot be written</source>
        <translation>磁盘已满：无法写入 {0}</translation>
    </message>
    <message>
        <source>{0} cannot be written: it is not allowed there</source>
        <translation>无法写入 {0}：没有权限</translation>
    </message>
    <message>
        <source>{0} cannot be written: {1}</source>
        <translation>无法写入 {0}：{1}</translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation>磁盘已满</translation>
    </message>
    <message>
        <source>{0}: it is not allowed there</source>
        <translation>{0}：没有权限</translation>
    </message>
    <message>
        <source>it is not allowed</source>
        <translation>没有权限</translation>
    </message>
    <message>
        <source>nothing can be written there</source>
        <translation>该位置无法写入</translation>
    </message>
    <message>
        <source>the disk or the network fails</source>
        <translation>磁盘或网络出现故障</translation>
    </message>
    <message>
        <source>the name is too long</source>
        <translation>文件名太长</translation>
    </message>
    <message>
        <source>this is not a folder</source>
        <translation>这不是文件夹</translation>
    </message>
    <message>
        <source>this is a folder</source>
        <translation>这是一个文件夹</translation>
    </message>
    <message>
        <source>there is a file of that name already</source>
        <translation>已有同名文件</translation>
    </message>
    <message>
        <source>{1}: {0}</source>
        <translation>{1}：{0}</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未说明原因</translation>
    </message>
    <message>
        <source>an unknown camera, or not camera raw at all</source>
        <translation>相机未知，或并非 RAW 文件</translation>
    </message>
    <message>
        <source>it is not there</source>
        <translation>它不存在</translation>
    </message>
    <message>
        <source>it cannot be read: {0}</source>
        <translation>无法读取：{0}</translation>
    </message>
    <message>
        <source>it cannot be opened: {0}</source>
        <translation>无法打开：{0}</translation>
    </message>
    <message>
        <source>there is not enough memory for a picture of this size</source>
        <translation>内存不足，无法处理这么大的图片</translation>
    </message>
    <message>
        <source>{0} cannot be read: convert it to JPEG or TIFF first</source>
        <translation>无法读取 {0}：请先转换为 JPEG 或 TIFF</translation>
    </message>
    <message>
        <source>there is no model “{0}” here: choose another one</source>
        <translation>没有模型“{0}”：请选择其他模型</translation>
    </message>
    <message>
        <source>an original is never replaced: choose another name</source>
        <translation>不会替换原图：请换一个名称</translation>
    </message>
    <message>
        <source>{0} holds trained weights: it must be exported first</source>
        <translation>{0} 是训练得到的权重：需先导出</translation>
    </message>
    <message>
        <source>there is no model file {0}</source>
        <translation>没有模型文件 {0}</translation>
    </message>
    <message>
        <source>comments that only {0} can hold are left out</source>
        <translation>只有 {0} 能保存的注释已略去</translation>
    </message>
    <message>
        <source>it is an HDR picture: convert it to SDR first</source>
        <translation>这是 HDR 图片：请先转换为 SDR</translation>
    </message>
    <message>
        <source>it has the colours of {0} and no profile: convert it to RGB first</source>
        <translation>它使用 {0} 色彩且没有配置文件：请先转换为 RGB</translation>
    </message>
    <message>
        <source>{0} holds no transparency: the background is white now</source>
        <translation>{0} 不支持透明：背景已变为白色</translation>
    </message>
    <message>
        <source>{0} holds {1} bits a channel</source>
        <translation>{0} 每通道只有 {1} 位</translation>
    </message>
    <message>
        <source>{0} holds no metadata: camera data and profile are left out</source>
        <translation>{0} 不能保存元数据：拍摄信息和颜色配置文件未写入</translation>
    </message>
    <message>
        <source>{0} holds no IPTC texts: they are left out</source>
        <translation>{0} 不能保存 IPTC 文字：未写入</translation>
    </message>
    <message>
        <source>the camera data does not fit into a JPEG: it is left out</source>
        <translation>拍摄信息超出 JPEG 的容量，未写入</translation>
    </message>
    <message>
        <source>its format is really {0}</source>
        <translation>这其实是 {0} 文件</translation>
    </message>
    <message>
        <source>CMYK was converted to sRGB</source>
        <translation>CMYK 已转换为 sRGB</translation>
    </message>
    <message>
        <source>its palette was expanded</source>
        <translation>已展开其调色板</translation>
    </message>
    <message>
        <source>only the first of {0} pages is kept</source>
        <translation>共 {0} 页，只保留第一页</translation>
    </message>
    <message>
        <source>the camera raw was developed to sRGB, 16 bits</source>
        <translation>相机 RAW 已冲印为 16 位 sRGB</translation>
    </message>
    <message>
        <source>its values go to {0}: they were scaled to {1}</source>
        <translation>其数值最大为 {0}，已缩放到 {1}</translation>
    </message>
    <message>
        <source>page {0} of {1}: {2}</source>
        <translation>第 {0} 页（共 {1} 页）：{2}</translation>
    </message>
    <message>
        <source>the camera raw file is damaged or cut off ({0})</source>
        <translation>相机 RAW 文件已损坏或不完整（{0}）</translation>
    </message>
    <message>
        <source>this is no {0} file, and no other picture</source>
        <translation>这不是 {0} 文件，也不是其他可读取的图片</translation>
    </message>
    <message>
        <source>the network drive does not answer any more</source>
        <translation>网络驱动器不再响应</translation>
    </message>
    <message>
        <source>this is a link that leads nowhere</source>
        <translation>这是一个无处可去的链接</translation>
    </message>
    <message>
        <source>your share of the disk is full</source>
        <translation>您的磁盘配额已用完</translation>
    </message>
    <message>
        <source>its end is missing</source>
        <translation>文件末尾缺失</translation>
    </message>
    <message>
        <source>only the main one of its {0} pictures is kept</source>
        <translation>其中有 {0} 张图像，只保留主图像</translation>
    </message>
    <message>
        <source>the {0} file is damaged ({1})</source>
        <translation>{0} 文件已损坏（{1}）</translation>
    </message>
    <message>
        <source>this kind of camera raw cannot be read ({0})</source>
        <translation>无法读取这种相机 RAW（{0}）</translation>
    </message>
    <message>
        <source>this kind of {0} file cannot be read ({1})</source>
        <translation>无法读取这种 {0} 文件（{1}）</translation>
    </message>
    <message>
        <source>to read camera raw, install: {0}</source>
        <translation>读取相机 RAW 需要安装：{0}</translation>
    </message>
    <message>
        <source>ONNX Runtime cannot be loaded ({0}); what helps: {1}</source>
        <translation>无法加载 ONNX Runtime（{0}），解决办法：{1}</translation>
    </message>
    <message>
        <source>to read {0}, install: {1}</source>
        <translation>读取 {0} 需要安装：{1}</translation>
    </message>
    <message>
        <source>{0} cannot be loaded</source>
        <translation>无法加载 {0}</translation>
    </message>
    <message>
        <source>it has {0} pixels: more than {1} megapixels are too many</source>
        <translation>图片为 {0} 像素：超过了 {1} 百万像素的上限</translation>
    </message>
    <message>
        <source>{0} megapixels are too many to be shown: Start works on it</source>
        <translation>{0} 百万像素太大，无法显示；仍可点“开始去噪”处理</translation>
    </message>
    <message>
        <source>it has no pixels</source>
        <translation>图片没有像素</translation>
    </message>
    <message>
        <source>it is black and white only: there is no noise to remove</source>
        <translation>这是纯黑白图片，没有噪点可去除</translation>
    </message>
    <message>
        <source>its pixels are of type {0}: only 8, 16 bits and float are read</source>
        <translation>像素类型为 {0}：只能读取 8 位、16 位和浮点</translation>
    </message>
    <message>
        <source>it is in the colour space {0}: convert it to RGB first</source>
        <translation>颜色空间为 {0}：请先转换为 RGB</translation>
    </message>
    <message>
        <source>it has {0} channels: at most 4 are read</source>
        <translation>共有 {0} 个通道：最多读取 4 个</translation>
    </message>
    <message>
        <source>it has {0} pages: at most {1} are read</source>
        <translation>共有 {0} 页：最多读取 {1} 页</translation>
    </message>
    <message>
        <source>this is an animation, not a photo</source>
        <translation>这是动画，不是照片</translation>
    </message>
    <message>
        <source>this is a film, not a photo</source>
        <translation>这是视频，不是照片</translation>
    </message>
    <message>
        <source>this is a folder, not a photo</source>
        <translation>这是文件夹，不是照片</translation>
    </message>
    <message>
        <source>this is not an ordinary file</source>
        <translation>这不是普通文件</translation>
    </message>
    <message>
        <source>the colour profile cannot be used ({0})</source>
        <translation>颜色配置文件无法使用（{0}）</translation>
    </message>
    <message>
        <source>it cannot be written as HEIC: {0}</source>
        <translation>无法写成 HEIC：{0}</translation>
    </message>
    <message>
        <source>it is too large for a BMP file</source>
        <translation>图片太大，无法存为 BMP 文件</translation>
    </message>
    <message>
        <source>its pages are too large for a TIFF file</source>
        <translation>各页太大，无法存入一个 TIFF 文件</translation>
    </message>
    <message>
        <source>it is clean already: it was copied as it is</source>
        <translation>图片本来就干净：已原样复制</translation>
    </message>
    <message>
        <source>it is clean already: it was only converted</source>
        <translation>图片本来就干净：只转换了格式</translation>
    </message>
    <message>
        <source>it is clean already, and only one page could be converted</source>
        <translation>图片本来就干净，而且只能转换其中一页</translation>
    </message>
    <message>
        <source>it is clean already, and too large to be converted</source>
        <translation>图片本来就干净，而且太大，无法转换</translation>
    </message>
    <message>
        <source>there is no noise model {0}</source>
        <translation>没有噪点模型 {0}</translation>
    </message>
    <message>
        <source>{0} is not a noise model</source>
        <translation>{0} 不是噪点模型</translation>
    </message>
    <message>
        <source>{0} is not a model that can be used</source>
        <translation>{0} 不是可用的模型</translation>
    </message>
    <message>
        <source>{0} is no model of invdn</source>
        <translation>{0} 不是 invdn 的模型</translation>
    </message>
    <message>
        <source>the model {0} is damaged: install invdn anew</source>
        <translation>模型 {0} 已损坏：请重新安装 invdn</translation>
    </message>
    <message>
        <source>the description of the model {0} is malformed: {1}</source>
        <translation>模型 {0} 的说明格式不对：{1}</translation>
    </message>
    <message>
        <source>{0} is malformed: {1}</source>
        <translation>{0} 的格式不对：{1}</translation>
    </message>
    <message>
        <source>{0} is not installed here ({1}); what helps: {2}</source>
        <translation>这里没有安装 {0}（{1}），解决办法：{2}</translation>
    </message>
    <message>
        <source>{0} is not installed here; what helps: {1}</source>
        <translation>这里没有安装 {0}，解决办法：{1}</translation>
    </message>
    <message>
        <source>{0} does not work here: its driver or its libraries are missing</source>
        <translation>{0} 在这里不能用：缺少驱动程序或程序库</translation>
    </message>
    <message>
        <source>the model {0} gives nonsense on {1}</source>
        <translation>模型 {0} 在 {1} 上的输出不对</translation>
    </message>
    <message>
        <source>it has pixels that are not finite numbers (NaN or infinity)</source>
        <translation>含有不是有限数值的像素（NaN 或无穷大）</translation>
    </message>
    <message>
        <source>its values go from {0} to {1}: scale them to 0 to 1 first</source>
        <translation>像素值从 {0} 到 {1}：请先缩放到 0 到 1</translation>
    </message>
    <message>
        <source>{0} cannot be read: {1}</source>
        <translation>无法读取 {0}：{1}</translation>
    </message>
    <message>
        <source>the model {0} failed on {2}: {3}</source>
        <translation>模型 {0} 在 {2} 上运行失败：{3}</translation>
    </message>
    <message>
        <source>the model {0} knows no strength but 100 %</source>
        <translation>模型 {0} 只支持 100% 的强度</translation>
    </message>
    <message>
        <source>it was changed while it was worked on: run it again</source>
        <translation>处理期间照片被修改：请重新处理</translation>
    </message>
    <message>
        <source>{0} has changed since it was opened: open it again</source>
        <translation>{0} 在打开后已被修改：请重新打开</translation>
    </message>
    <message>
        <source>its first picture is only a thumbnail: export it as an ordinary TIFF</source>
        <translation>文件的第一幅图像只是缩略图：请另存为普通 TIFF</translation>
    </message>
    <message>
        <source>it has a channel that is no transparency: save it without that one</source>
        <translation>含有不是透明度的附加通道：请先去掉该通道</translation>
    </message>
    <message>
        <source>its colours are no longer multiplied by its transparency</source>
        <translation>颜色不再预乘透明度</translation>
    </message>
    <message>
        <source>its colour profile is not for its pixels: it is left out</source>
        <translation>颜色配置文件与像素不符，未写入</translation>
    </message>
    <message>
        <source>only {0} can hold how its colours are meant: they change</source>
        <translation>只有 {0} 能保存其颜色的含义：颜色会有变化</translation>
    </message>
    <message>
        <source>the camera data makes no sense: it is left out</source>
        <translation>拍摄信息无法解读，未写入</translation>
    </message>
    <message>
        <source>the XMP data does not fit into a JPEG: it is left out</source>
        <translation>XMP 数据超出 JPEG 的容量，未写入</translation>
    </message>
    <message>
        <source>what else the file holds is left out: it may be a gain map, a depth map or a video</source>
        <translation>文件中的其他内容（可能是 HDR 增益图、深度图或视频）未写入</translation>
    </message>
    <message>
        <source>{0} holds at most {1} pixels a side: choose another format</source>
        <translation>{0} 的边长最多为 {1} 像素：请选择其他格式</translation>
    </message>
    <message>
        <source>its decoder crashed ({0})</source>
        <translation>它使解码器崩溃（{0}）</translation>
    </message>
    <message>
        <source>exit status {0}</source>
        <translation>退出码 {0}</translation>
    </message>
    <message>
        <source>the system ended the work on it, probably for want of memory</source>
        <translation>系统中止了对它的处理，可能是内存不足</translation>
    </message>
    <message>
        <source>the system ended it, probably for want of memory: close other programs</source>
        <translation>系统中止了它，可能是内存不足：请关闭其他程序</translation>
    </message>
    <message>
        <source>reading or writing it did not end within {0} s</source>
        <translation>读取或写入在 {0} 秒内没有结束</translation>
    </message>
    <message>
        <source>the work on it did not end</source>
        <translation>对它的处理没有结束</translation>
    </message>
    <message>
        <source>the process that works on the photos does not start ({0})</source>
        <translation>处理照片的进程无法启动（{0}）</translation>
    </message>
    <message>
        <source>unexpected error, please report it: {0}</source>
        <translation>意外错误，请反馈：{0}</translation>
    </message>
    <message>
        <source>{0}: {1}</source>
        <translation>{0}：{1}</translation>
    </message>
</context>
<context>
    <name>RecentMenu</name>
    <message>
        <source>nothing yet</source>
        <translation>暂无</translation>
    </message>
</context>
</TS>
